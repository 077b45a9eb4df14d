// SPDX-License-Identifier: Apache-2.0
// The part of a file of rows that is in memory: at most one row and a little more.

import ReFTTensor

/// A moving window over the bytes of a file.
struct RowWindow {
  private static let pieceByteCount = 1 << 18

  let path: String
  private let stream: FileStream
  private var digest = SHA256Digest()
  private var buffer: [UInt8] = []
  private var start = 0
  private var isAtEnd = false
  private var line = 1
  private var column = 1

  /// Opens a file and skips its byte order mark.
  init(path: String) throws(ReFTError) {
    self.path = path
    stream = try FileStream(path: path)
    while buffer.count < 4, try fill() {}
    start = try TextFile.markLength(buffer, path: path)
  }

  /// The place of the next byte.
  var place: TextPlace { TextPlace(line: line, column: column) }

  /// The next byte; nil at the end of the file.
  mutating func peek() throws(ReFTError) -> UInt8? {
    while start == buffer.count { guard try fill() else { return nil } }
    return buffer[start]
  }

  /// Goes past bytes that are in memory.
  mutating func take(_ count: Int) {
    for byte in buffer[start..<start + count] {
      if byte == 0x0A {
        line += 1
        column = 1
      } else if byte & 0xC0 != 0x80 {
        column += 1
      }
    }
    start += count
  }

  /// Goes past white space.
  mutating func skipSpace() throws(ReFTError) {
    while let byte = try peek(), [0x20, 0x09, 0x0A, 0x0D].contains(byte) { take(1) }
  }

  /// The next bytes, which must be in memory.
  func bytes(_ count: Int) -> ArraySlice<UInt8> { buffer[start..<start + count] }

  /// The JSON value in the next bytes, which must be in memory.
  func scan(_ count: Int, at place: TextPlace) throws(JSONFault) -> JSONNode {
    try buffer.span.extracting(start..<start + count).withUnsafeBytes {
      bytes throws(JSONFault) in
      try JSONScanner.document(bytes, line: Int(place.line), column: Int(place.column))
    }
  }

  /// The next byte as it may stand in a message.
  func nextInWords() -> String {
    buffer.span.extracting(start...).withUnsafeBytes { JSONScanner($0).nextInWords() }
  }

  /// The length of the next line, with its line feed, when the file has one; then it is in memory.
  mutating func lineLength() throws(ReFTError) -> Int {
    var known = 0
    while true {
      if let end = buffer[(start + known)...].firstIndex(of: 0x0A) { return end + 1 - start }
      known = buffer.count - start
      try checkRow(known)
      guard try fill() else { return buffer.count - start }
    }
  }

  /// The length of the next item of a list; then it is in memory.
  ///
  /// An item that is no JSON has a length too, with which its reader finds the fault.
  mutating func itemLength() throws(ReFTError) -> Int {
    var outline = ItemOutline()
    var known = 0
    while true {
      for (index, byte) in buffer[(start + known)...].enumerated() where outline.ends(before: byte)
      {
        return known + index
      }
      known = buffer.count - start
      try checkRow(known)
      guard try fill() else { return buffer.count - start }
    }
  }

  /// Reads the rest, and hashes the whole.
  mutating func finish() throws(ReFTError) -> String {
    start = buffer.count
    while try fill() { start = buffer.count }
    return digest.finish()
  }

  private func checkRow(_ byteCount: Int) throws(ReFTError) {
    if byteCount > RowReader.maximumByteCount {
      throw .rowWithoutEnd("\(path):\(line)", maximum: RowReader.maximumByteCount)
    }
  }

  /// Reads a further piece; false at the end.
  private mutating func fill() throws(ReFTError) -> Bool {
    if isAtEnd { return false }
    buffer.removeSubrange(..<start)
    start = 0
    let count = buffer.count
    isAtEnd = try stream.read(Self.pieceByteCount, to: &buffer) == 0
    Self.update(&digest, with: buffer[count...])
    return !isAtEnd
  }

  private static func update(_ digest: inout SHA256Digest, with bytes: ArraySlice<UInt8>) {
    bytes.withUnsafeBytes { digest.update($0) }
  }
}

/// Finds where an item of a list ends, by its brackets and quotes alone.
private struct ItemOutline {
  private var depth = 0
  private var isInText = false
  private var isEscaped = false
  private var isDone = false

  /// Takes the next byte, unless the item ends before it.
  mutating func ends(before byte: UInt8) -> Bool {
    if isDone { return true }
    if isInText {
      if isEscaped {
        isEscaped = false
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else if byte == UInt8(ascii: "\"") {
        isInText = false
        isDone = depth == 0
      }
      return false
    }
    switch byte {
    case UInt8(ascii: "\""): isInText = true
    case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
    case UInt8(ascii: "}"), UInt8(ascii: "]"):
      if depth == 0 { return true }
      depth -= 1
      isDone = depth == 0
    case UInt8(ascii: ","), 0x20, 0x09, 0x0A, 0x0D: return depth == 0
    default: break
    }
    return false
  }
}
