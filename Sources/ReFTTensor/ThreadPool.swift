// SPDX-License-Identifier: Apache-2.0
// The one thread pool. Callers split their work into a number of pieces that does not depend on the
// number of threads, so that results do not depend on it either.

import CReFTKernels
import Foundation
import Synchronization

/// A blocking pool: `run` returns when all pieces of the work are done.
///
/// Between two calls a worker spins for a few microseconds, so that the many short regions of a
/// decode step cost little, and then sleeps.
public final class ThreadPool: @unchecked Sendable {
  // Sendable: `body` is written by the thread that holds `isBusy`, before `generation` is raised
  // (release) and read after it is seen (acquire); everything else is atomic or guarded by `wake`.

  /// The pool of the process: `REFT_THREADS` threads, or one per processor.
  public static let shared: ThreadPool = {
    let wish = ProcessInfo.processInfo.environment["REFT_THREADS"].flatMap { Int($0) }
    return ThreadPool(
      threadCount: max(1, min(256, wish ?? ProcessInfo.processInfo.activeProcessorCount))
    )
  }()

  /// How many threads work, the caller's among them.
  public let threadCount: Int

  private let generation = Atomic<Int>(0)
  private let next = Atomic<Int>(0)
  private let working = Atomic<Int>(0)
  private let isBusy = Atomic<Bool>(false)
  private let sleepers = Atomic<Int>(0)
  private let wake = NSCondition()
  private var body: ((Int) -> Void)?
  private var count = 0

  private static let spins = 4000

  /// Starts `threadCount - 1` workers, which live as long as the process.
  public init(threadCount: Int) {
    self.threadCount = threadCount
    for _ in 1..<max(1, threadCount) {
      let thread = Thread { [self] in work() }
      thread.name = "reft-pool"
      thread.stackSize = 8 << 20
      thread.start()
    }
  }

  /// Calls `body` with each of `0..<count`, in any order and on any thread, and waits for all.
  ///
  /// A call from inside a piece runs its pieces on the calling thread.
  public func run(_ count: Int, _ body: (Int) -> Void) {
    guard count > 1, threadCount > 1,
      isBusy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
    else {
      for index in 0..<max(0, count) { body(index) }
      return
    }
    withoutActuallyEscaping(body) { body in
      self.body = body
      self.count = count
      next.store(0, ordering: .relaxed)
      working.store(threadCount - 1, ordering: .relaxed)
      generation.add(1, ordering: .sequentiallyConsistent)
      if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
        wake.lock()
        wake.broadcast()
        wake.unlock()
      }
      drain()
      var spin = 0
      while working.load(ordering: .acquiring) > 0 {
        spin += 1
        // On a busy machine a worker may be waiting for this very processor.
        if spin < Self.spins { reft_pause() } else { sched_yield() }
      }
      self.body = nil
    }
    isBusy.store(false, ordering: .releasing)
  }

  // Not inlined: every reference to the closure is released before the worker says that it is done,
  // else the caller could find its non-escaping closure still in use.
  @inline(never)
  private func drain() {
    guard let body else { return }
    while true {
      let index = next.add(1, ordering: .relaxed).oldValue
      if index >= count { return }
      body(index)
    }
  }

  private func work() {
    var seen = 0
    while true {
      var spin = 0
      while generation.load(ordering: .acquiring) == seen {
        spin += 1
        if spin < Self.spins {
          reft_pause()
        } else {
          sleep(until: seen)
        }
      }
      seen += 1
      drain()
      working.subtract(1, ordering: .releasing)
    }
  }

  private func sleep(until seen: Int) {
    wake.lock()
    sleepers.add(1, ordering: .sequentiallyConsistent)
    while generation.load(ordering: .sequentiallyConsistent) == seen { wake.wait() }
    sleepers.subtract(1, ordering: .sequentiallyConsistent)
    wake.unlock()
  }
}
