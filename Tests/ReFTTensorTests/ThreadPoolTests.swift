// SPDX-License-Identifier: Apache-2.0
// The thread pool: every piece once, whoever calls and however many threads there are.

import Dispatch
import ReFTTensor
import Synchronization
import Testing

@Suite("Thread pool")
struct ThreadPoolTests {
  private static let pools = [1, 2, 3, 8].map { ThreadPool(threadCount: $0) }

  /// Counts how often each piece is called.
  private func calls(_ pool: ThreadPool, _ count: Int) -> [Int] {
    let counts = (0..<count).map { _ in Counter() }
    pool.run(count) { counts[$0].add() }
    return counts.map(\.value)
  }

  private final class Counter: Sendable {
    private let atomic = Atomic<Int>(0)
    func add() { atomic.add(1, ordering: .relaxed) }
    var value: Int { atomic.load(ordering: .relaxed) }
  }

  @Test("calls every piece once, and has called all when it returns", arguments: pools.indices)
  func once(index: Int) {
    for count in [0, 1, 2, 3, 7, 64, 1000] {
      for _ in 0..<50 {
        let found = calls(Self.pools[index], count)
        #expect(found == [Int](repeating: 1, count: count))
      }
    }
  }

  @Test("fine pieces are called once too", arguments: pools.indices)
  func fine(index: Int) {
    for count in [0, 1, 2, 3, 7, 64, 1000] {
      for _ in 0..<50 {
        let counts = (0..<count).map { _ in Counter() }
        Self.pools[index].run(count, isFine: true) { counts[$0].add() }
        #expect(counts.map(\.value) == [Int](repeating: 1, count: count))
      }
    }
  }

  @Test("no piece begins before all preparations are done", arguments: pools.indices)
  func preparations(index: Int) {
    for (preparations, count) in [(0, 0), (0, 5), (1, 0), (1, 1), (3, 40), (17, 3), (9, 100)] {
      for _ in 0..<50 {
        let (prepared, early) = (Counter(), Counter())
        let counts = (0..<count).map { _ in Counter() }
        Self.pools[index].run(
          preparing: preparations,
          { _ in prepared.add() },
          then: count,
          {
            counts[$0].add()
            if prepared.value != preparations { early.add() }
          }
        )
        #expect(prepared.value == preparations)
        #expect(early.value == 0)
        #expect(counts.map(\.value) == [Int](repeating: 1, count: count))
      }
    }
  }

  @Test("runs pieces that ask for pieces, and callers at the same time", arguments: pools.indices)
  func nested(index: Int) {
    let pool = Self.pools[index]
    let total = Counter()
    DispatchQueue.concurrentPerform(iterations: 4) { _ in
      for _ in 0..<200 {
        pool.run(5) { _ in
          pool.run(preparing: 1, { _ in total.add() }, then: 2) { _ in total.add() }
        }
      }
    }
    #expect(total.value == 4 * 200 * 15)
  }

  @Test("works on after its threads have gone to sleep")
  func sleeps() {
    let pool = ThreadPool(threadCount: 2)
    // A pause far beyond the time that a worker spins, made of work on this thread.
    for _ in 0..<20 {
      let start = DispatchTime.now().uptimeNanoseconds
      while DispatchTime.now().uptimeNanoseconds - start < 2_000_000 {}
      #expect(calls(pool, 16) == [Int](repeating: 1, count: 16))
    }
  }
}
