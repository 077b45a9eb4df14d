// SPDX-License-Identifier: Apache-2.0
// Many short byte strings in one array: vocabularies and merges without an object per entry.

/// An immutable list of byte strings, laid end to end.
package struct StringTable: Sendable {
  /// All bytes.
  private(set) var bytes: [UInt8] = []
  /// Where each string starts, and where the last one ends.
  private(set) var offsets: [UInt32] = [0]

  /// An empty table.
  package init() {}

  /// Copies strings in order.
  package init(_ strings: some Collection<String>) {
    offsets.reserveCapacity(strings.count + 1)
    bytes.reserveCapacity(strings.count * 8)
    for string in strings { append(string.utf8) }
  }

  /// How many strings there are.
  package var count: Int { offsets.count - 1 }

  /// Makes room for strings that will be appended.
  package mutating func reserve(strings: Int, bytes byteCount: Int) {
    offsets.reserveCapacity(strings + 1)
    bytes.reserveCapacity(byteCount)
  }

  /// Appends one string.
  package mutating func append(_ string: some Sequence<UInt8>) {
    bytes.append(contentsOf: string)
    endString()
  }

  /// Appends one byte to the string that the next `endString` ends.
  mutating func appendByte(_ byte: UInt8) { bytes.append(byte) }

  /// Ends the string that `appendByte` built.
  mutating func endString() { offsets.append(UInt32(bytes.count)) }

  /// Where the string at `index` lies in `bytes`.
  @inline(__always)
  func range(_ index: Int) -> Range<Int> { Int(offsets[index])..<Int(offsets[index + 1]) }

  /// The string at `index`.
  package subscript(index: Int) -> ArraySlice<UInt8> { bytes[range(index)] }

  /// The string at `index` as text, for messages; bytes that are no UTF-8 are replaced.
  package func text(_ index: Int) -> String { String(decoding: self[index], as: UTF8.self) }
}
