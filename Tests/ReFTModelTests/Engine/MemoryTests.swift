// SPDX-License-Identifier: Apache-2.0
// Passes for which the system has not the memory: an error before they begin, and the pass goes on to
// work. The limit is one of the process, so each test has a process of its own.

import Foundation
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Memory of passes")
struct MemoryTests {
  @Test("an error names the bytes and the remedy, and a smaller pass works")
  func limits() async {
    await #expect(processExitsWith: .success) {
      try withTemporaryDirectory { folder in
        var shape = TinyModel()
        shape.feedForwardSize = 4096
        let model = try FrozenModel(path: shape.write(in: folder))
        let long = [Int32](repeating: 5, count: 500)
        let (training, inference) = (ModelRuntime(model: model), ModelRuntime(model: model))
        let batch = EngineFixture.batch(
          [5, 6, 7].map { [Int32](repeating: $0, count: 500) },
          labelled: 400
        )
        let small = EngineFixture.batch([Array(long.prefix(12))], labelled: 4)
        let cache = try inference.makeCache(capacity: 500)
        _ = try training.loss(small, editor: nil)
        _ = try inference.step([(cache, [5])], editor: nil)

        let pages = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
        let used = try #require(pages.split(separator: " ").first.flatMap { Int($0) }) * 4096
        var limit = rlimit(rlim_cur: UInt(used + (8 << 20)), rlim_max: .max)
        #expect(setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0)
        let pass = #expect(throws: ReFTError.self) { try training.loss(batch, editor: nil) }
        #expect(pass?.code == .inputOutput)
        let message = pass?.message ?? ""
        #expect(message.hasPrefix("no memory for a pass of 1500 tokens: "), "\(message)")
        #expect(message.contains("--micro-batch-tokens"), "\(message)")
        let step = #expect(throws: ReFTError.self) {
          try inference.step([(cache, Array(long.dropLast()))], editor: nil)
        }
        let stepMessage = step?.message ?? ""
        #expect(stepMessage.hasPrefix("no memory for reading 499 tokens at once: "))
        #expect(cache.count == 1)
        let large = #expect(throws: ReFTError.self) { try inference.makeCache(capacity: 1 << 20) }
        let largeMessage = large?.message ?? ""
        #expect(largeMessage.hasPrefix("no memory for the keys and values of 1048576 tokens: "))
        _ = try training.loss(small, editor: nil)
        _ = try inference.step([(cache, [5])], editor: nil)
        #expect(cache.count == 2)
      }
    }
  }
}
