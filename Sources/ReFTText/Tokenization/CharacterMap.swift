// SPDX-License-Identifier: Apache-2.0
// SentencePiece's compiled table of replacements: a trie as a double array (Aoe, 1989), and behind it
// the texts that it leads to, each ended by a zero byte.

/// A table from characters to what they are written as.
struct CharacterMap: Sendable {
  private let units: [UInt32]
  private let texts: [UInt8]

  /// Reads a table.
  ///
  /// - Returns: nil where the bytes are no such table; an empty one changes nothing.
  init?(_ bytes: some Collection<UInt8>) {
    let bytes = Array(bytes)
    func number(_ place: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | UInt32(bytes[place + $1]) << (8 * UInt32($1)) }
    }
    guard !bytes.isEmpty else {
      (units, texts) = ([], [])
      return
    }
    guard bytes.count >= 4 else { return nil }
    let size = Int(number(0))
    guard size % 4 == 0, size <= bytes.count - 4 else { return nil }
    units = (0..<(size / 4)).map { number(4 + $0 * 4) }
    texts = Array(bytes[(4 + size)...])
  }

  /// What replaces the beginning of some bytes.
  ///
  /// - Parameters:
  ///   - bytes: the text.
  ///   - range: the part of it that counts.
  ///   - isLongest: whether the longest replacement is wanted, not the shortest.
  /// - Returns: how many bytes are replaced and by what; nil where nothing is.
  func replacement(
    _ bytes: UnsafeBufferPointer<UInt8>,
    _ range: Range<Int>,
    isLongest: Bool
  ) -> (length: Int, text: ArraySlice<UInt8>)? {
    guard !units.isEmpty else { return nil }
    var found: (length: Int, place: Int)?
    var node = Self.offset(units[0])
    for index in range {
      let label = UInt32(bytes[index])
      node ^= Int(label)
      guard node < units.count, units[node] & 0x8000_00FF == label else { break }
      let unit = units[node]
      node ^= Self.offset(unit)
      if unit >> 8 & 1 == 1 {
        guard node < units.count else { break }
        found = (index - range.lowerBound + 1, Int(units[node] & 0x7FFF_FFFF))
        if !isLongest { break }
      }
    }
    guard let found, found.place < texts.count else { return nil }
    let end = texts[found.place...].firstIndex(of: 0) ?? texts.count
    return (found.length, texts[found.place..<end])
  }

  private static func offset(_ unit: UInt32) -> Int {
    Int((unit >> 10) << ((unit & (1 << 9)) >> 6))
  }
}
