// SPDX-License-Identifier: Apache-2.0
// Texts that come from a plugin: pointer and length, perhaps not UTF-8.

import CReFTPlugin
import Foundation

enum ForeignText {
  /// The longest text that a plugin may state.
  static let limit: UInt64 = 1 << 16

  /// The text, or nil when it is too long, has no address, or is not UTF-8.
  static func strict(_ text: reft_str_t) -> String? {
    if text.len == 0 { return "" }
    guard let start = text.ptr, text.len <= limit else { return nil }
    let bytes = UnsafeRawBufferPointer(start: start, count: Int(text.len))
    return String(validating: bytes, as: UTF8.self)
  }

  /// A message for people: what is not UTF-8 is replaced, control characters are left out.
  static func readable(_ start: UnsafePointer<CChar>?, _ length: UInt64) -> String {
    guard let start else { return "" }
    let bytes = UnsafeRawBufferPointer(start: start, count: Int(min(length, limit)))
    return line(String(decoding: bytes, as: UTF8.self))
  }

  /// The text with blanks for control characters: a terminal obeys those, and lists break at lines.
  static func line(_ text: String) -> String {
    String(text.unicodeScalars.map { isControl($0) ? " " : Character($0) })
  }

  /// Whether a text has no control characters.
  static func isPlain(_ text: String) -> Bool { !text.unicodeScalars.contains(where: isControl) }

  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.generalCategory == .control
  }
}

extension String {
  /// Hands out the text as the ABI wants it; valid until the closure returns.
  func withForeign<Result>(_ body: (reft_str_t) throws -> Result) rethrows -> Result {
    var copy = self
    return try copy.withUTF8 { bytes in
      try bytes.withMemoryRebound(to: CChar.self) { chars in
        try body(reft_str_t(ptr: chars.baseAddress, len: UInt64(chars.count)))
      }
    }
  }
}
