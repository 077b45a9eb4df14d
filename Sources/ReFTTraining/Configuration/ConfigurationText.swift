// SPDX-License-Identifier: Apache-2.0
// The text of a configuration before it is YAML: from bytes, and within bounds that keep the parser's
// time and memory in proportion to the text.

package import ReFTTensor

/// What must hold of a text before the YAML parser sees it.
package enum ConfigurationText {
  /// The largest configuration file that is read: 1 MiB.
  static let maximumByteCount = 1 << 20
  /// The most uses of anchors; eight can repeat a value some twenty times, eighty a billion times.
  static let maximumAliasCount = 8

  /// Reads a file.
  ///
  /// - Returns: its text, without a byte order mark.
  /// - Throws: `inputMissing` when there is no such file; `badConfiguration` for one that is too long or
  ///   no UTF-8; `inputOutput` when the system refuses.
  package static func read(path: String) throws(ReFTError) -> String {
    let bytes: [UInt8]
    do throws(ReFTError) {
      bytes = try TextFile.bytes(path: path, limit: maximumByteCount)
    } catch {
      switch error.code {
      case .inputMissing: throw .missingConfiguration(path: path)
      case .badData: throw ReFTError(.badConfiguration, error.message, cause: error)
      default: throw error
      }
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw .configurationNotText(place(path, of: firstFault(bytes), in: bytes))
    }
    return text
  }

  /// Refuses a text whose anchors are used too often.
  ///
  /// Whatever looks like an anchor or its use counts, in quotes too; names in them differ.
  static func checkAliases(_ text: String, path: String) throws(ReFTError) {
    let bytes = Array(text.utf8)
    let anchors = Set(names(after: UInt8(ascii: "&"), in: bytes).map(\.name))
    guard !anchors.isEmpty else { return }
    let uses = names(after: UInt8(ascii: "*"), in: bytes).filter { anchors.contains($0.name) }
    guard uses.count > maximumAliasCount else { return }
    throw ReFTError(
      .badConfiguration,
      "\(place(path, of: uses[maximumAliasCount].offset, in: bytes)): more than \(maximumAliasCount) "
        + "aliases; write the values themselves"
    )
  }

  private static func names(
    after mark: UInt8,
    in bytes: [UInt8]
  ) -> [(offset: Int, name: ArraySlice<UInt8>)] {
    bytes.indices.filter { bytes[$0] == mark }.compactMap { offset in
      let name = bytes[(offset + 1)...].prefix {
        (0x30...0x39).contains($0) || (0x41...0x5A).contains($0 & 0xDF) || $0 == 0x5F || $0 == 0x2D
      }
      return name.isEmpty ? nil : (offset, name)
    }
  }

  /// The first byte that is no UTF-8.
  private static func firstFault(_ bytes: [UInt8]) -> Int {
    zip(String(decoding: bytes, as: UTF8.self).utf8, bytes).prefix { $0 == $1 }.count
  }

  private static func place(_ path: String, of offset: Int, in bytes: [UInt8]) -> String {
    let before = bytes[..<offset]
    let start = before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
    let column = before[start...].count { $0 & 0xC0 != 0x80 } + 1
    return "\(path):\(TextPlace(line: before.count { $0 == 0x0A } + 1, column: column))"
  }
}
