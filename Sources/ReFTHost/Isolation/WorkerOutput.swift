// SPDX-License-Identifier: Apache-2.0
// What a worker prints: shown line by line, escaped, cut, and up to a bound.

import Foundation
import Logging

/// Collects what a worker prints and shows it.
struct WorkerOutput {
  /// The most bytes of a line that are shown.
  static let lineLimit = 400
  /// The most lines of a worker that are shown.
  static let countLimit = 100
  /// The most bytes of a worker that are read.
  static let byteLimit = 64 << 10
  private let name: String
  private var line: [UInt8] = []
  private var isCut = false
  private var byteCount = 0
  private var lineCount = 0
  private let logger = Logger(label: "reft.plugins")

  /// Begins for a plugin's file.
  init(name: String) { self.name = name }

  /// Takes what was read.
  ///
  /// - Returns: whether more may follow.
  mutating func take(_ bytes: some Sequence<UInt8>) -> Bool {
    for byte in bytes where byteCount <= Self.byteLimit && lineCount <= Self.countLimit {
      byteCount += 1
      if byte == 10 {
        show()
      } else if line.count < Self.lineLimit {
        line.append(byte)
      } else {
        isCut = true
      }
    }
    guard byteCount > Self.byteLimit || lineCount > Self.countLimit else { return true }
    line = []
    logger.warning(
      """
      plugin '\(name)' prints more than \(Self.countLimit) lines or \(Self.byteLimit >> 10) KiB; the \
      rest is not shown
      """
    )
    return false
  }

  /// Shows what is left without an end of line.
  mutating func end() { show() }

  private mutating func show() {
    defer { (line, isCut) = ([], false) }
    guard !line.isEmpty else { return }
    lineCount += 1
    guard lineCount <= Self.countLimit else { return }
    let text = ForeignText.line(String(decoding: line, as: UTF8.self))
    logger.notice("plugin '\(name)' prints: \(text)\(isCut ? "…" : "")")
  }
}
