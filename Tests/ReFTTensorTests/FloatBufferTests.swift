// SPDX-License-Identifier: Apache-2.0
// Memory for numbers: zeros, aligned, and nobody else's.

import ReFTTensor
import Testing

@Suite("Float buffers")
struct FloatBufferTests {
  @Test("buffers are zero, aligned and apart from each other", arguments: [false, true])
  func isolation(isStreamed: Bool) {
    // Less than a huge page, and more than one.
    let counts = [0, 1, 15, 16, 17, 1000, 600_000] + [Int](repeating: 300_001, count: 40)
    let buffers = counts.map { FloatBuffer(count: $0, isStreamed: isStreamed) }
    for (index, buffer) in buffers.enumerated() {
      #expect(UInt(bitPattern: buffer.base) % 64 == 0)
      #expect(buffer.values.allSatisfy { $0 == 0 })
      for place in 0..<buffer.count { buffer[place] = Float(index + 1) }
    }
    for (index, buffer) in buffers.enumerated() {
      #expect(buffer.values.allSatisfy { $0 == Float(index + 1) }, "buffer \(index)")
    }
  }

  @Test("a buffer keeps its values when those beside it are gone, and new ones are zero")
  func lifetimes() {
    var buffers = (0..<50).map { _ in FloatBuffer(count: 100_000, isStreamed: true) }
    for buffer in buffers { buffer.values.update(repeating: 7) }
    let kept = buffers[20]
    buffers.removeAll()
    let fresh = (0..<50).map { _ in FloatBuffer(count: 100_000, isStreamed: true) }
    #expect(fresh.allSatisfy { $0.values.allSatisfy { $0 == 0 } })
    #expect(kept.values.allSatisfy { $0 == 7 })
  }
}
