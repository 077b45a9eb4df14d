// SPDX-License-Identifier: Apache-2.0
// The emulated card itself: places, barriers, shuffles, shared memory, and what it refuses.

import CUDAEmulator
import Foundation
import ReFTCUDA
import Testing

struct EmulatorTests {
  private static let text = """
    // A comment with __global__ void nonsense(int x) in it.
    extern "C" __global__ void __launch_bounds__(96) reverse(int n, const float *x, float *y) {
      extern __shared__ float values[];
      __shared__ int count;
      int i = blockIdx.x * blockDim.x + threadIdx.x;
      if (threadIdx.x == 0) count = 0;
      values[threadIdx.x] = i < n ? x[i] : 0;
      __syncthreads();
      atomicAdd(&count, 1);
      __syncthreads();
      if (i < n) y[i] = values[blockDim.x - 1 - threadIdx.x] + count;
    }
    extern "C" __global__ void sums(const float *x, float *y) {
      float sum = x[threadIdx.x];
      for (int with = 16; with > 0; with /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, with);
      float first = __shfl_sync(0xffffffffu, x[threadIdx.x], 0);
      unsigned odd = __ballot_sync(0xffffffffu, threadIdx.x & 1);
      y[threadIdx.x] = sum + 1000 * first + (odd == 0xaaaaaaaau ? 0.5f : 0);
    }
    extern "C" __global__ void stuck() {
      if (threadIdx.x < 32) __syncthreads();
      else __shfl_sync(0xffffffffu, 0, threadIdx.x == 32 ? 0 : 1), __syncthreads();
      if (threadIdx.x == 0) __shfl_sync(0xffffffffu, 0, 0);
      else __syncthreads();
    }
    """

  private func kernels() throws -> EmulatedKernels {
    try EmulatedKernels(KernelSource(name: "text", text: Self.text))
  }

  @Test("threads of a block meet at barriers and share memory")
  func barriers() throws {
    let (x, y) = (
      CardNumbers((0..<96).map(Float.init)), CardNumbers([Float](repeating: 0, count: 96))
    )
    try kernels().run(
      "reverse",
      grid: (2, 1, 1),
      block: 48,
      sharedBytes: 48 * 4,
      .int(96),
      .numbers(x),
      .numbers(y)
    )
    let reversed = Array((0..<48).reversed()) + Array((48..<96).reversed())
    let expected = reversed.map { Float($0 + 48) }
    #expect(y.floats == expected)
  }

  @Test("lanes of a warp read each other's values")
  func shuffles() throws {
    let x = CardNumbers((0..<64).map(Float.init))
    let y = CardNumbers([Float](repeating: 0, count: 64))
    try kernels().run("sums", grid: (1, 1, 1), block: 64, .numbers(x), .numbers(y))
    let low = [Float](repeating: 496.5, count: 32)
    let high = [Float](repeating: 1520 + 32000 + 0.5, count: 32)
    #expect(y.floats == low + high)
  }

  @Test("a barrier that not all threads reach ends the launch instead of waiting for ever")
  func deadlock() throws {
    var log: UnsafeMutablePointer<CChar>?
    let module = try #require(reft_emulator_compile(Self.text, nil, 0, &log))
    let function = try #require(reft_emulator_function(module, "stuck"))
    #expect(
      reft_emulator_launch(function, [1, 1, 1], [64, 1, 1], 0, nil)
        == Int32(REFT_EMULATOR_DEADLOCK)
    )
  }

  @Test("refuses launches that no card runs, and names that are not there")
  func refusals() throws {
    var log: UnsafeMutablePointer<CChar>?
    let module = try #require(reft_emulator_compile(Self.text, nil, 0, &log))
    let function = try #require(reft_emulator_function(module, "sums"))
    let bad = Int32(REFT_EMULATOR_BAD_LAUNCH)
    #expect(reft_emulator_launch(function, [1, 1, 1], [2048, 1, 1], 0, nil) == bad)
    #expect(reft_emulator_launch(function, [0, 1, 1], [32, 1, 1], 0, nil) == bad)
    #expect(reft_emulator_launch(function, [1, 1, 1], [32, 1, 1], 1 << 20, nil) == bad)
    #expect(reft_emulator_function(module, "nonsense") == nil)
  }

  @Test("a text that does not compile gives the compiler's words")
  func compilerMessages() throws {
    var log: UnsafeMutablePointer<CChar>?
    #expect(
      reft_emulator_compile("extern \"C\" __global__ void f() { undefined_name; }", nil, 0, &log)
        == nil
    )
    let text = try #require(log.map { String(cString: $0) })
    free(log)
    #expect(text.contains("undefined_name"))
    #expect(text.contains("kernels:1"))
  }
}
