// SPDX-License-Identifier: Apache-2.0
// Recorded work: it runs when it is launched, reads what is there then, and owns its memory.

import ReFTCUDA
import ReFTTensor
import Testing

struct GraphTests {
  private let source = KernelSource(
    name: "graph",
    text: """
      extern "C" __global__ void twice(int n, const float *x, float *y) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = 2 * x[i];
      }
      """
  )

  @Test("recorded copies, launches and products run at each launch, on the bytes of then")
  func replay() throws {
    let card = try EmulatedCard.open()
    let kernel = try card.module(source).kernel("twice")
    let pinned = try card.pinned(16)
    let numbers = pinned.base.bindMemory(to: Float.self, capacity: 4)
    let weight = try card.upload([Float(1), 1, 1, 1])
    let x = try card.allocate(16, for: "x")
    let sum = try card.upload([Float(-1)])
    let graph = try card.capture { () throws(ReFTError) in
      let y = try card.allocate(16, for: "y")
      try card.copyIn(numbers, 16, to: x.pointer)
      var arguments = KernelArguments()
      arguments.add(4)
      arguments.add(x.pointer)
      arguments.add(y.pointer)
      try card.launch(kernel, grid: (1, 1, 1), block: 32, arguments)
      try card.gemm(
        GEMM(
          rows: 1,
          n: 1,
          k: 4,
          x: y.pointer,
          weight: weight.pointer,
          y: sum.pointer,
          input: .float32,
          output: .float32
        )
      )
    }
    #expect(try card.download(sum, 1, of: Float(0)) == [-1])
    for step in 1...3 {
      for index in 0..<4 { numbers[index] = Float(step * (index + 1)) }
      try card.launch(graph)
      #expect(try card.download(sum, 1, of: Float(0)) == [Float(20 * step)])
    }
  }

  @Test("memory that was taken while recording is nobody else's until the graph is gone")
  func ownership() throws {
    let card = try EmulatedCard.open()
    let size = 123_456
    var place = DevicePointer(address: 0)
    var graph: CUDAGraph? = try card.capture { () throws(ReFTError) in
      let scratch = try card.allocate(size, for: "scratch")
      place = scratch.pointer
      try card.zero(scratch.pointer, size)
    }
    let other = try card.allocate(size, for: "something else")
    #expect(other.pointer != place)
    #expect(graph != nil)
    graph = nil
    #expect(try card.allocate(size, for: "something else again").pointer == place)
  }

  @Test("what a graph cannot hold is refused, and the card goes on")
  func refusals() throws {
    let card = try EmulatedCard.open()
    let target = try card.allocate(16, for: "a target")
    let plain: [Float] = [1, 2, 3, 4]
    let copying = message {
      _ = try card.capture { () throws(ReFTError) in
        try plain.withUnsafeBufferPointer { buffer throws(ReFTError) in
          if let base = buffer.baseAddress { try card.copyIn(base, 16, to: target.pointer) }
        }
      }
    }
    #expect(
      copying.hasPrefix("A graph cannot hold a copy of 16 bytes from memory that is not pinned")
    )
    let waiting = message {
      _ = try card.capture { () throws(ReFTError) in try card.synchronise() }
    }
    #expect(waiting.hasPrefix("A graph cannot hold waiting for the card"))
    #expect(try card.download(try card.upload(plain), 4, of: Float(0)) == plain)
  }

  @Test("events tell seconds between them")
  func events() throws {
    let card = try EmulatedCard.open()
    let memory = try card.allocate(10_000_000, for: "something to do")
    let first = try card.event()
    for _ in 0..<3 { try card.zero(memory.pointer, memory.byteCount) }
    let last = try card.event()
    let seconds = try card.elapsed(from: first, to: last)
    #expect(seconds > 0 && seconds < 60)
  }
}
