// SPDX-License-Identifier: Apache-2.0
// Kernels from texts: compiled once, kept on the disk, launched with their arguments.

import Foundation
import ReFTCUDA
import ReFTTensor
import Testing
import _ReFTTestSupport

struct KernelLaunchTests {
  private let axpy = KernelSource(
    name: "axpy",
    text: """
      extern "C" __global__ void axpy(int n, float a, const float *x, float *y, long long offset) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] += SCALE * a * x[i] + (float)(offset >> 33);
      }
      """
  )

  private func run(_ card: CUDADevice, scale: Int) throws -> [Float] {
    let kernel = try card.module(axpy, defines: ["SCALE": scale]).kernel("axpy")
    let x = try card.upload((0..<300).map { Float($0) })
    let y = try card.upload([Float](repeating: 1, count: 300))
    var arguments = KernelArguments()
    arguments.add(300)
    arguments.add(Float(0.5))
    arguments.add(x.pointer)
    arguments.add(y.pointer)
    arguments.add(Int64(3) << 33)
    try card.launch(kernel, grid: (3, 1, 1), block: 128, arguments)
    return try card.download(y, 300, of: Float(0))
  }

  @Test("a kernel gets its arguments, of each type, and the values of macros")
  func arguments() throws {
    let card = try EmulatedCard.open()
    #expect(try run(card, scale: 4) == (0..<300).map { 4 + 2 * Float($0) })
  }

  @Test("a second opening compiles nothing, and a damaged file is compiled anew")
  func cache() throws {
    try withTemporaryDirectory { folder in
      func compilations(_ scale: Int) throws -> Int {
        let before = try EmulatedCard.calls("nvrtcCompileProgram")
        #expect(try run(try EmulatedCard.open(cache: folder), scale: scale)[2] == 4 + Float(scale))
        return try EmulatedCard.calls("nvrtcCompileProgram") - before
      }
      #expect(try compilations(5) == 1)
      #expect(try compilations(5) == 0)
      #expect(try compilations(6) == 1)
      let files = try FileManager.default.contentsOfDirectory(atPath: folder)
      #expect(files.count == 2)
      #expect(files.allSatisfy { $0.hasSuffix(".cubin") && $0.count == 64 + 6 })
      for file in files {
        let path = folder + "/" + file
        var bytes = try #require(FileManager.default.contents(atPath: path))
        bytes[bytes.count / 2] ^= 1
        try bytes.write(to: URL(fileURLWithPath: path))
      }
      #expect(try compilations(5) == 1)
      #expect(try compilations(5) == 0)
    }
  }

  @Test("a module is loaded once for a card")
  func once() throws {
    let card = try EmulatedCard.open()
    let first = try card.module(axpy, defines: ["SCALE": 7])
    #expect(try card.module(axpy, defines: ["SCALE": 7]) === first)
    #expect(try card.module(axpy, defines: ["SCALE": 8]) !== first)
  }

  @Test("a text that does not compile gives the compiler's words")
  func wrongText() throws {
    let card = try EmulatedCard.open()
    let source = KernelSource(name: "wrong", text: "extern \"C\" __global__ void f() { nonsense; }")
    let text = message { _ = try card.module(source, defines: ["A": 1]) }
    #expect(text.hasPrefix("Kernel text 'wrong' does not compile with --gpu-architecture=sm_90"))
    #expect(text.contains("nonsense"))
  }

  @Test("a kernel that is not there is named")
  func unknownKernel() throws {
    let module = try EmulatedCard.open().module(axpy, defines: ["SCALE": 9])
    let text = message { _ = try module.kernel("saxpy") }
    #expect(text.hasPrefix("Kernel text 'axpy' has no kernel 'saxpy'"))
  }

  @Test("shared memory beyond 48 KiB is asked for, and beyond the card's refused")
  func sharedMemory() throws {
    let card = try EmulatedCard.open()
    let source = KernelSource(
      name: "shared",
      text: """
        extern "C" __global__ void last(int n, int *out) {
          extern __shared__ int numbers[];
          numbers[n - 1] = 17;
          out[0] = numbers[n - 1];
        }
        """
    )
    let kernel = try card.module(source).kernel("last")
    let out = try card.allocate(4, for: "a number")
    var arguments = KernelArguments()
    arguments.add(20_000)
    arguments.add(out.pointer)
    let before = try EmulatedCard.calls("cuFuncSetAttribute")
    for _ in 0..<3 {
      try card.launch(kernel, grid: (1, 1, 1), block: 1, sharedBytes: 80_000, arguments)
    }
    #expect(try EmulatedCard.calls("cuFuncSetAttribute") == before + 1)
    #expect(try card.download(out, 1, of: Int32(0)) == [17])
    let text = message {
      try card.launch(kernel, grid: (1, 1, 1), block: 1, sharedBytes: 1 << 20, arguments)
    }
    #expect(text.contains("1048576 bytes of shared memory"))
  }

  @Test("numbers that a launch cannot have are told, and no blocks are nothing to do")
  func limits() throws {
    let card = try EmulatedCard.open()
    let kernel = try card.module(axpy, defines: ["SCALE": 4]).kernel("axpy")
    let launches = try EmulatedCard.calls("cuLaunchKernel")
    let none = KernelArguments()
    try card.launch(kernel, grid: (0, 1, 1), block: 128, none)
    let grid = message { try card.launch(kernel, grid: (1, 70_000, 1), block: 128, none) }
    #expect(grid.contains("a grid of 1 × 70000 × 1 blocks of 128 threads"))
    let block = message { try card.launch(kernel, grid: (1, 1, 1), block: 2048, none) }
    #expect(block.contains("blocks of 2048 threads"))
    var large = KernelArguments()
    large.add(Float(1))
    large.add(3_000_000_000)
    let argument = message { try card.launch(kernel, grid: (1, 1, 1), block: 1, large) }
    #expect(argument.contains("argument 1 is 3000000000, more than a C int holds"))
    #expect(try EmulatedCard.calls("cuLaunchKernel") == launches)
  }
}
