// SPDX-License-Identifier: Apache-2.0
// One line on the terminal that is rewritten in place; nothing at all when stderr is a file.

import Foundation

/// Shows how far a long job is.
final class ProgressLine {
  private let isShown: Bool
  private var lastWidth = 0
  private var lastTime = 0.0

  init() {
    isShown = isatty(STDERR_FILENO) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb"
  }

  /// Replaces the line, at most ten times a second unless `force` is set.
  func show(_ text: @autoclosure () -> String, force: Bool = false) {
    guard isShown else { return }
    let now = ProcessInfo.processInfo.systemUptime
    guard force || now - lastTime >= 0.1 else { return }
    lastTime = now
    let line = String(text().prefix(Self.terminalWidth() - 1))
    let padding = String(repeating: " ", count: max(0, lastWidth - line.count))
    FileHandle.standardError.write(Data(("\r" + line + padding).utf8))
    lastWidth = line.count
  }

  /// Removes the line, so that what follows starts in the first column.
  func clear() {
    guard isShown, lastWidth > 0 else { return }
    FileHandle.standardError.write(
      Data(("\r" + String(repeating: " ", count: lastWidth) + "\r").utf8)
    )
    lastWidth = 0
  }

  private static func terminalWidth() -> Int {
    var size = winsize()
    guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 1 else { return 80 }
    return Int(size.ws_col)
  }
}
