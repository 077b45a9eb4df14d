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
    let processors = max(1, min(256, ProcessInfo.processInfo.activeProcessorCount))
    // The command line has told of a wish that cannot be.
    let wish = try? Machine.threadWish(ProcessInfo.processInfo.environment)
    return ThreadPool(threadCount: wish ?? processors)
  }()

  /// How many threads work, the caller's among them.
  public let threadCount: Int

  /// The work that is offered: 24 bits that number it, 20 of pieces, 20 of the next piece.
  ///
  /// A piece is taken by raising the last part, which fails when the work changed meanwhile.
  private let offer = Atomic<UInt64>(0)
  /// Pieces of the offered work that are done.
  private let done = Atomic<Int>(0)
  /// Preparations of the offered work that are done.
  private let prepared = Atomic<Int>(0)
  private let isBusy = Atomic<Bool>(false)
  private let sleepers = Atomic<Int>(0)
  private let alarms = Atomic<Int>(0)
  private let wake = NSCondition()
  private var body: ((Range<Int>) -> Void)?
  /// How many of the offered pieces prepare the others; −1 where pieces are taken one by one.
  private let preparations = Atomic<Int>(-1)

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
  ///
  /// - Parameters:
  ///   - count: how many pieces.
  ///   - isFine: whether the pieces are short and alike; a thread then takes neighbours together.
  ///   - body: does one piece.
  public func run(_ count: Int, isFine: Bool = false, _ body: (Int) -> Void) {
    guard begin(count) else {
      for index in 0..<max(0, count) { body(index) }
      return
    }
    share(count, preparations: 0, isFine: isFine) { for index in $0 { body(index) } }
    end()
  }

  /// Calls `prepare` with each of `0..<preparations` and then, once all of those are done, `body`
  /// with each of `0..<count`: two calls of `run` for fine pieces in one, where gathering the
  /// threads a second time would cost as much as the work.
  public func run(
    preparing preparations: Int,
    _ prepare: (Int) -> Void,
    then count: Int,
    _ body: (Int) -> Void
  ) {
    guard begin(preparations + count) else {
      for index in 0..<max(0, preparations) { prepare(index) }
      for index in 0..<max(0, count) { body(index) }
      return
    }
    prepared.store(0, ordering: .relaxed)
    // Pieces are taken in order, so whoever waits here waits for pieces that somebody is at.
    share(preparations + count, preparations: preparations, isFine: true) { pieces in
      if pieces.lowerBound < preparations {
        for index in pieces { prepare(index) }
        prepared.add(pieces.count, ordering: .releasing)
      } else {
        wait { prepared.load(ordering: .acquiring) >= preparations }
        for index in pieces { body(index - preparations) }
      }
    }
    end()
  }

  /// Takes the pool for `count` pieces; false when the caller has to run them itself.
  private func begin(_ count: Int) -> Bool {
    count > 1 && count <= Self.largestCount && threadCount > 1
      && isBusy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
  }

  private func end() { isBusy.store(false, ordering: .releasing) }

  /// Offers pieces to all threads, takes some itself, and returns when all are done.
  private func share(
    _ count: Int,
    preparations: Int,
    isFine: Bool,
    _ body: (Range<Int>) -> Void
  ) {
    withoutActuallyEscaping(body) { body in
      self.body = body
      self.preparations.store(isFine ? preparations : -1, ordering: .relaxed)
      done.store(0, ordering: .relaxed)
      let number = (offer.load(ordering: .relaxed) >> (2 * Self.fieldBits)) + 1
      let offered = number << (2 * Self.fieldBits) | UInt64(count) << Self.fieldBits
      offer.store(offered, ordering: .sequentiallyConsistent)
      if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
        wake.lock()
        wake.broadcast()
        wake.unlock()
      }
      drain()
      wait { done.load(ordering: .acquiring) >= count }
      self.body = nil
    }
  }

  /// Wakes workers for work that is offered some ten microseconds from now.
  ///
  /// Threads that sleep come too late for short work; who waits for something else before it, such as
  /// a copy from a card, wakes them meanwhile.
  package func rouse() {
    guard sleepers.load(ordering: .sequentiallyConsistent) > 0 else { return }
    alarms.add(1, ordering: .sequentiallyConsistent)
    wake.lock()
    wake.broadcast()
    wake.unlock()
  }

  /// Spins until `isMet`.
  private func wait(until isMet: () -> Bool) {
    var spin = 0
    while !isMet() {
      spin += 1
      // On a busy machine a worker may be waiting for this very processor.
      if spin < Self.spins { reft_pause() } else { sched_yield() }
    }
  }

  /// The next pieces of the offered work, nil when all are taken.
  private func takePieces() -> Range<Int>? {
    var seen = offer.load(ordering: .acquiring)
    while Self.isOpen(seen) {
      let next = Int(seen & UInt64(Self.largestCount))
      let size = takeSize(next, of: Int(seen >> Self.fieldBits & UInt64(Self.largestCount)))
      let result = offer.weakCompareExchange(
        expected: seen,
        desired: seen + UInt64(size),
        ordering: .acquiringAndReleasing
      )
      if result.exchanged { return next..<next + size }
      seen = result.original
    }
    return nil
  }

  private static func isOpen(_ offer: UInt64) -> Bool {
    let next = offer & UInt64(largestCount)
    return next < (offer >> fieldBits) & UInt64(largestCount)
  }

  // Who takes what changes no result: a piece is the same whoever does it. What this reads of the
  // work may be that of another one by now; then the exchange that follows fails.
  private func takeSize(_ next: Int, of count: Int) -> Int {
    let preparations = self.preparations.load(ordering: .relaxed)
    guard preparations >= 0 else { return 1 }
    // Half of an even share of what is left, so that the last ones to be taken are small.
    let (left, shares) =
      next < preparations
      ? (preparations - next, threadCount) : (count - next, 2 * threadCount)
    return max(1, min(count - next, (left + shares - 1) / shares))
  }

  private func drain() {
    while let pieces = takePieces() {
      perform(pieces)
      done.add(pieces.count, ordering: .releasing)
    }
  }

  // Not inlined: the reference to the closure is released before the pieces count as done, else
  // the caller could find its non-escaping closure still in use.
  @inline(never)
  private func perform(_ pieces: Range<Int>) { body?(pieces) }

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
    let heard = alarms.load(ordering: .sequentiallyConsistent)
    while !Self.isOpen(offer.load(ordering: .sequentiallyConsistent)),
      alarms.load(ordering: .sequentiallyConsistent) == heard
    { wake.wait() }
    sleepers.subtract(1, ordering: .sequentiallyConsistent)
    wake.unlock()
  }
}
