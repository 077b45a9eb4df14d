// SPDX-License-Identifier: Apache-2.0
// One line on the terminal that is rewritten in place; nothing at all when stderr is a file.

import Foundation
import ReFTTensor
import Synchronization

/// Shows how far a long job is.
final class ProgressLine: Sendable {
  private struct State {
    var lastWidth = 0
    var lastTime = 0.0
  }
  private let isShown: Bool
  private let state = Mutex(State())

  init() {
    isShown = isatty(STDERR_FILENO) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb"
  }

  /// Replaces the line, at most ten times a second unless `force` is set.
  func show(_ text: @autoclosure () -> String, force: Bool = false) {
    guard isShown else { return }
    let now = ProcessInfo.processInfo.systemUptime
    state.withLock { state in
      guard force || now - state.lastTime >= 0.1 else { return }
      state.lastTime = now
      let line = String(TerminalText.sentence(text()).prefix(Self.terminalWidth() - 1))
      let padding = String(repeating: " ", count: max(0, state.lastWidth - line.count))
      Output.tell("\r" + line + padding)
      state.lastWidth = line.count
    }
  }

  /// Removes the line, so that what follows starts in the first column.
  func clear() {
    guard isShown else { return }
    state.withLock { state in
      guard state.lastWidth > 0 else { return }
      let blanks = String(repeating: " ", count: state.lastWidth)
      Output.tell("\r" + blanks + "\r")
      state.lastWidth = 0
    }
  }

  private static func terminalWidth() -> Int {
    var size = winsize()
    guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 1 else { return 80 }
    return Int(size.ws_col)
  }
}

/// How fast a job is and when it will be done.
struct RateClock {
  private let total: Int
  private let start = ContinuousClock.now

  init(total: Int) { self.total = total }

  /// "32/200 rows  8.1 rows/s  21s left".
  func text(done: Int, unit: String) -> String {
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    let rate = seconds > 0 ? Double(done) / seconds : 0
    let left = rate > 0 ? Readable.duration(Double(total - done) / rate) : "?"
    return "\(done)/\(total) \(unit)  \(Readable.fixed(rate, 1)) \(unit)/s  \(left) left"
  }
}
