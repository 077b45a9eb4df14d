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

  /// Replaces the line by what of some fields fits the terminal's width.
  func show(_ fields: @autoclosure () -> ProgressFields) {
    show(fields().text(width: Self.terminalWidth() - 1))
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

  /// The columns of the terminal, 80 where there is none.
  static func terminalWidth() -> Int {
    var size = winsize()
    guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 1 else { return 80 }
    return Int(size.ws_col)
  }
}

/// What a progress line tells, of which a narrow terminal shows the most important part.
struct ProgressFields {
  /// A text, and how soon it is left out: the largest numbers first.
  struct Field {
    var text: String
    var rank: Int
  }

  /// How much is done, from 0 to 1.
  var fraction: Double
  /// The fields in the order in which they stand; the bar stands after the first.
  var fields: [Field]

  private static let longestBar = 24
  private static let shortestBar = 8
  /// Fields of a higher rank are left out for the bar, those of a lower one stay without it.
  private static let rankOfBar = 2

  /// The fields that fit a width, and a bar that takes what they leave.
  func text(width: Int) -> String {
    var shown = fields
    func length() -> Int {
      shown.reduce(0) { $0 + $1.text.count } + 2 * max(0, shown.count - 1)
    }
    func drop(above rank: Int, until limit: Int) {
      while shown.count > 1, length() > limit,
        let last = shown.indices.max(by: { shown[$0].rank < shown[$1].rank }),
        shown[last].rank > rank
      {
        shown.remove(at: last)
      }
    }
    // Blanks before the bar, brackets, and the percentage after it.
    let around = 10
    drop(above: Self.rankOfBar, until: width - around - Self.shortestBar)
    let room = min(Self.longestBar, width - around - length())
    if room < Self.shortestBar { drop(above: 0, until: width) }
    var texts = shown.map(\.text)
    if room >= Self.shortestBar, !texts.isEmpty { texts.insert(bar(room), at: 1) }
    return texts.joined(separator: "  ")
  }

  private func bar(_ count: Int) -> String {
    let part = min(1, max(0, fraction.isFinite ? fraction : 0))
    let full = Int((part * Double(count)).rounded(.down))
    let percent = String(Int((part * 100).rounded(.down)))
    return "[" + String(repeating: "#", count: full)
      + String(repeating: ".", count: count - full) + "]  "
      + String(repeating: " ", count: 3 - percent.count) + percent + "%"
  }
}

/// How fast a job is and when it will be done.
struct RateClock {
  private let total: Int
  private let start = ContinuousClock.now

  init(total: Int) { self.total = total }

  /// "32/200 rows  [####....]  16%  8.1 rows/s  512.0 MB  21s left".
  func fields(done: Int, unit: String) -> ProgressFields {
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    let rate = seconds > 0 ? Double(done) / seconds : 0
    let left = rate > 0 ? Readable.duration(Double(total - done) / rate) : "?"
    return ProgressFields(
      fraction: Double(done) / Double(max(1, total)),
      fields: [
        .init(text: "\(done)/\(total) \(unit)", rank: 0),
        .init(text: "\(Readable.fixed(rate, 1)) \(unit)/s", rank: 2),
        .init(text: Readable.bytes(Machine.residentByteCount), rank: 3),
        .init(text: "\(left) left", rank: 1),
      ]
    )
  }
}
