// SPDX-License-Identifier: Apache-2.0
// The one thread pool. Callers split their work into a number of pieces that does not depend on the
// number of threads, so that results do not depend on it either.

import CReFTKernels
import Foundation
import Synchronization

/// A blocking pool: `run` returns when all pieces of the work are done.
///
/// Whoever is free takes the next piece, and the caller waits only for pieces that somebody took: a
/// worker that the system gave no processor to delays nobody. Between two calls a worker spins for
/// some microseconds, so that the many short regions of a decode step cost little, and then sleeps.
public final class ThreadPool: @unchecked Sendable {
  // Sendable: `body` is written by the thread that holds `isBusy` before it publishes the work
  // (release), and read by who took a piece of it (acquire); it stays until all taken pieces are
  // done. Everything else is atomic or guarded by `wake`.

  /// The pool of the process: `REFT_THREADS` threads, or one per processor.
  public static let shared: ThreadPool = {
    let wish = ProcessInfo.processInfo.environment["REFT_THREADS"].flatMap { Int($0) }
    return ThreadPool(
      threadCount: max(1, min(256, wish ?? ProcessInfo.processInfo.activeProcessorCount))
    )
  }()

  /// How many threads work, the caller's among them.
  public let threadCount: Int

  /// The work that is offered: 24 bits that number it, 20 of pieces, 20 of the next piece.
  ///
  /// A piece is taken by raising the last part, which fails when the work changed meanwhile.
  private let offer = Atomic<UInt64>(0)
  /// Pieces of the offered work that are done.
  private let done = Atomic<Int>(0)
  private let isBusy = Atomic<Bool>(false)
  private let sleepers = Atomic<Int>(0)
  private let wake = NSCondition()
  private var body: ((Int) -> Void)?

  private static let spins = 2000
  private static let fieldBits: UInt64 = 20
  private static let largestCount = 1 << 20 - 1

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
    guard count > 1, count <= Self.largestCount, threadCount > 1,
      isBusy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
    else {
      for index in 0..<max(0, count) { body(index) }
      return
    }
    withoutActuallyEscaping(body) { body in
      self.body = body
      done.store(0, ordering: .relaxed)
      let number = (offer.load(ordering: .relaxed) >> (2 * Self.fieldBits)) + 1
      let work = number << (2 * Self.fieldBits) | UInt64(count) << Self.fieldBits
      offer.store(work, ordering: .sequentiallyConsistent)
      if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
        wake.lock()
        wake.broadcast()
        wake.unlock()
      }
      drain()
      var spin = 0
      while done.load(ordering: .acquiring) < count {
        spin += 1
        // On a busy machine a worker may be waiting for this very processor.
        if spin < Self.spins { reft_pause() } else { sched_yield() }
      }
      self.body = nil
    }
    isBusy.store(false, ordering: .releasing)
  }

  /// The next piece of the offered work, nil when all are taken.
  private func takePiece() -> Int? {
    var seen = offer.load(ordering: .acquiring)
    while Self.isOpen(seen) {
      let result = offer.weakCompareExchange(
        expected: seen,
        desired: seen + 1,
        ordering: .acquiringAndReleasing
      )
      if result.exchanged { return Int(seen & UInt64(Self.largestCount)) }
      seen = result.original
    }
    return nil
  }

  private static func isOpen(_ offer: UInt64) -> Bool {
    let next = offer & UInt64(largestCount)
    return next < (offer >> fieldBits) & UInt64(largestCount)
  }

  private func drain() {
    while let index = takePiece() { call(index) }
  }

  // Not inlined: the reference to the closure is released before the piece counts as done, else
  // the caller could find its non-escaping closure still in use.
  @inline(never)
  private func perform(_ index: Int) { body?(index) }

  private func call(_ index: Int) {
    perform(index)
    done.add(1, ordering: .releasing)
  }

  private func work() {
    while true {
      drain()
      var spin = 0
      while !Self.isOpen(offer.load(ordering: .acquiring)) {
        spin += 1
        if spin < Self.spins { reft_pause() } else { sleep() }
      }
    }
  }

  /// Waits until work is offered.
  private func sleep() {
    wake.lock()
    sleepers.add(1, ordering: .sequentiallyConsistent)
    while !Self.isOpen(offer.load(ordering: .sequentiallyConsistent)) { wake.wait() }
    sleepers.subtract(1, ordering: .sequentiallyConsistent)
    wake.unlock()
  }
}
