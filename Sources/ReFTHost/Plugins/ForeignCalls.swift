// SPDX-License-Identifier: Apache-2.0
// The calls into plugins that are under way: how they are asked to end early, how one is found that does
// not come back, and what happens when a plugin ends the process.

import CReFTPlatform
import Foundation
import Synchronization

/// What is known of the calls into plugins in this process.
public enum ForeignCalls {
  private static let isAsked = Atomic(false)
  // In a worker: the word that its host sets. Written before there is a second thread.
  nonisolated(unsafe) private static var askedWord: UnsafeRawPointer?
  private static let lastWords = Mutex<(@Sendable () -> String?)?>(nil)

  /// Asks all calls, the running and the coming ones, to end early.
  public static func cancel() { isAsked.store(true, ordering: .relaxed) }

  /// Takes a request back, for the next piece of work in the same process.
  package static func resume() { isAsked.store(false, ordering: .relaxed) }

  /// Whether calls should end early.
  public static var isCancelled: Bool {
    if isAsked.load(ordering: .relaxed) { return true }
    guard let askedWord else { return false }
    return reft_word_load(askedWord) != 0
  }

  /// Lets another process ask, through a word of shared memory that lives as long as this process.
  static func listen(to word: UnsafeRawPointer) { askedWord = word }

  /// A call that does not come back.
  public struct Stuck: Sendable {
    /// The plugin.
    public let plugin: String
    /// Its function.
    public let function: String
  }

  /// Waits while calls into plugins of this process come back in time.
  ///
  /// After a call was found, its thread does nothing more: should the call come back after all, it waits
  /// for ever.
  ///
  /// - Parameters:
  ///   - patienceSeconds: how long one call may take.
  ///   - isOver: whether the wait is to end.
  /// - Returns: the call that did not come back; nil when the wait ended otherwise.
  public static func stuckCall(
    patienceSeconds: Double,
    until isOver: () -> Bool
  ) -> Stuck? {
    var (seen, since) = (reft_foreign_running(), DispatchTime.now().uptimeNanoseconds)
    while !isOver() {
      usleep(20_000)
      let (running, now) = (reft_foreign_running(), DispatchTime.now().uptimeNanoseconds)
      if running == 0 || running != seen {
        (seen, since) = (running, now)
      } else if Double(now - since) / 1e9 >= patienceSeconds {
        reft_foreign_close()
        return last
      }
    }
    return nil
  }

  private static var last: Stuck {
    var function: UnsafePointer<CChar>?
    let plugin = reft_foreign_last(&function)
    return Stuck(
      plugin: plugin.map { String(cString: $0) } ?? "unknown",
      function: function.map { String(cString: $0) } ?? "unknown"
    )
  }

  /// Makes it a failure when a plugin ends this process by exit or quick_exit.
  ///
  /// It is told in one line on standard error, and the exit status is 69. `_exit` and a signal end the
  /// process as the system does.
  public static func watchExit() {
    _ = reft_foreign_watch_exit { plugin, function in
      // Should the last words get stuck, the end comes all the same.
      DispatchQueue.global().asyncAfter(deadline: .now() + 10) { _exit(69) }
      let name = plugin.map { String(cString: $0) } ?? "unknown"
      let place = function.map { " in \(String(cString: $0))" } ?? ""
      let more = ForeignCalls.lastWords.withLock { $0 }?().map { "; \($0)" } ?? ""
      let line = Array(
        ("error: plugin '\(ForeignText.line(name))' ended the program by 'exit'\(place), as if all was "
          + "done; nothing of what was asked for is done\(more); `--isolation process` keeps such an end to the "
          + "plugin\n").utf8
      )
      _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    }
  }

  /// Changes what a signal does while plugins may run, which are not blamed for it.
  ///
  /// - Parameters:
  ///   - number: the signal.
  ///   - isIgnored: whether it is ignored; else it does what it does by default.
  public static func setSignal(_ number: Int32, isIgnored: Bool) {
    reft_system_own_signal(number, isIgnored ? 1 : 0)
  }

  /// Says that this program itself is about to end.
  public static func expectExit() { reft_foreign_expect_exit() }

  /// What is to be done, and told, when a plugin ends the process; nil: nothing.
  public static func setLastWords(_ words: (@Sendable () -> String?)?) {
    lastWords.withLock { $0 = words }
  }
}
