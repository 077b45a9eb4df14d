// SPDX-License-Identifier: Apache-2.0
// The entries of a zip archive as torch.save writes one: stored, not compressed, one after the other.
// Nothing the archive says is believed before it is checked against the file.

/// One file of an archive.
struct ZipEntry {
  /// Its name, with the folders before it.
  var name: String
  /// Its content.
  var bytes: UnsafeRawBufferPointer
  /// The checksum that the archive states.
  var checksum: UInt32
}

/// The directory of a zip archive, with every entry inside the file and none over another.
struct ZipDirectory {
  /// The most entries that are read.
  static let mostEntries = 100_000
  /// The longest name of an entry.
  static let longestName = 1024

  /// The entries in the order of the directory.
  private(set) var entries: [ZipEntry] = []
  private let file: MappedFile

  private struct End {
    var position: Int
    var count: Int
    var start: Int
    var byteCount: Int
  }

  private struct Record {
    var name: String
    var method: Int
    var checksum: UInt32
    var byteCount: Int
    var start: Int
    var place: Int
  }

  /// Reads the directory of an archive.
  ///
  /// - Throws: `badData` with the place, for what is not whole, overlaps, or is packed.
  init(_ file: MappedFile) throws(ReFTError) {
    self.file = file
    let end = try readEnd()
    var place = end.start
    var records: [Record] = []
    for index in 0..<end.count {
      let (record, next) = try readRecord(index, at: place, before: end.start + end.byteCount)
      records.append(record)
      place = next
    }
    guard place == end.start + end.byteCount else {
      throw malformed("its directory ends at byte \(place), not \(end.start + end.byteCount)")
    }
    try resolve(records, before: end.start)
  }

  // MARK: - The end of the directory

  private func readEnd() throws(ReFTError) -> End {
    let size = file.bytes.count
    guard size >= 22 else { throw malformed("has \(size) bytes, less than an empty archive") }
    // A comment of up to 65535 bytes may follow; its length has to fit.
    var place: Int?
    for start in stride(from: size - 22, through: max(0, size - 22 - 0xFFFF), by: -1)
    where number(UInt32.self, start) == 0x0605_4B50 {
      if number(UInt16.self, start + 20) == size - start - 22 {
        place = start
        break
      }
    }
    guard let place else {
      throw malformed("is no zip archive: the end of the directory is not there")
    }
    guard number(UInt32.self, place + 4) == 0 else { throw malformed("has more than one part") }
    var end = End(
      position: place,
      count: number(UInt16.self, place + 10),
      start: number(UInt32.self, place + 16),
      byteCount: number(UInt32.self, place + 12)
    )
    if place >= 20, number(UInt32.self, place - 20) == 0x0706_4B50 {
      end = try readLongEnd(at: number(UInt64.self, place - 20 + 8), before: place - 20, short: end)
    }
    let (sum, overflows) = end.start.addingReportingOverflow(end.byteCount)
    guard end.start >= 0, end.byteCount >= 0, !overflows, sum <= end.position else {
      throw malformed(
        "its directory is said to lie at byte \(end.start) with \(end.byteCount) bytes, beyond its "
          + "end at \(end.position)"
      )
    }
    guard end.count >= 0, end.count <= Self.mostEntries, end.count <= end.byteCount / 46 else {
      throw malformed(
        "is said to have \(end.count) entries in a directory of \(end.byteCount) bytes; at most "
          + "\(min(Self.mostEntries, end.byteCount / 46)) can be"
      )
    }
    return end
  }

  /// The 64-bit form, which torch always writes beside the other.
  private func readLongEnd(
    at place: Int,
    before limit: Int,
    short: End
  ) throws(ReFTError) -> End {
    guard place >= 0, place <= limit - 56, number(UInt32.self, place) == 0x0606_4B50 else {
      throw malformed("the 64-bit end of its directory is not at byte \(place), as it says")
    }
    let end = End(
      position: place,
      count: number(UInt64.self, place + 32),
      start: number(UInt64.self, place + 48),
      byteCount: number(UInt64.self, place + 40)
    )
    for (one, other, full) in [
      (short.count, end.count, 0xFFFF), (short.start, end.start, 0xFFFF_FFFF),
      (short.byteCount, end.byteCount, 0xFFFF_FFFF),
    ] where one != full && one != other {
      throw malformed("the two ends of its directory say \(one) and \(other) of the same thing")
    }
    return end
  }

  // MARK: - Entries

  private func readRecord(
    _ index: Int,
    at place: Int,
    before limit: Int
  ) throws(ReFTError) -> (Record, next: Int) {
    guard place <= limit - 46, number(UInt32.self, place) == 0x0201_4B50 else {
      throw malformed("entry \(index) of its directory is not at byte \(place)")
    }
    let flags = number(UInt16.self, place + 8)
    let nameCount = number(UInt16.self, place + 28)
    let extraCount = number(UInt16.self, place + 30)
    let next = place + 46 + nameCount + extraCount + number(UInt16.self, place + 32)
    guard next <= limit else { throw malformed("entry \(index) leaves its directory") }
    let name = try text(place + 46, nameCount, "the name of entry \(index)")
    // Bit 3: sizes stand again behind the data; bit 11: the name is UTF-8.
    guard flags & ~0x0808 == 0 else {
      throw malformed(
        "'\(name.shown())' has the flags 0x\(String(flags, radix: 16)): it is encrypted or packed in a "
          + "way that torch.save does not use"
      )
    }
    var record = Record(
      name: name,
      method: number(UInt16.self, place + 10),
      checksum: UInt32(number(UInt32.self, place + 16)),
      byteCount: number(UInt32.self, place + 24),
      start: number(UInt32.self, place + 42),
      place: place
    )
    var packed = number(UInt32.self, place + 20)
    try readExtra(place + 46 + nameCount, extraCount, &record, &packed)
    guard record.method == 0, packed == record.byteCount else {
      throw malformed(
        "'\(name.shown())' is compressed (method \(record.method), \(packed) of \(record.byteCount) bytes)",
        remedy: "Only stored entries are read; save it again with torch.save, which packs nothing."
      )
    }
    return (record, next)
  }

  /// Takes the 64-bit sizes where the others are full.
  private func readExtra(
    _ start: Int,
    _ count: Int,
    _ record: inout Record,
    _ packed: inout Int
  ) throws(ReFTError) {
    var place = start
    while place + 4 <= start + count {
      let (kind, length) = (number(UInt16.self, place), number(UInt16.self, place + 2))
      guard place + 4 + length <= start + count else { break }
      if kind == 1 {
        var next = place + 4
        func take(_ value: inout Int, _ full: Int) throws(ReFTError) {
          guard value == full else { return }
          guard next + 8 <= place + 4 + length else {
            throw malformed("'\(record.name.shown())' lacks one of its 64-bit sizes")
          }
          value = number(UInt64.self, next)
          next += 8
        }
        try take(&record.byteCount, 0xFFFF_FFFF)
        try take(&packed, 0xFFFF_FFFF)
        try take(&record.start, 0xFFFF_FFFF)
      }
      place += 4 + length
    }
  }

  /// Finds the data of each entry, behind its second header.
  private mutating func resolve(_ records: [Record], before limit: Int) throws(ReFTError) {
    var ranges: [(start: Int, end: Int, name: String)] = []
    var names: Set<String> = []
    for record in records {
      guard names.insert(record.name).inserted else {
        throw malformed("'\(record.name.shown())' is in it twice")
      }
      let header = record.start
      guard header >= 0, header <= limit - 30, number(UInt32.self, header) == 0x0403_4B50 else {
        throw malformed("'\(record.name.shown())' is not at byte \(header), as its directory says")
      }
      let nameCount = number(UInt16.self, header + 26)
      let start = header + 30 + nameCount + number(UInt16.self, header + 28)
      let (end, overflows) = start.addingReportingOverflow(record.byteCount)
      guard record.byteCount >= 0, !overflows, start <= limit, end <= limit else {
        throw malformed(
          "'\(record.name.shown())' has \(record.byteCount) bytes at byte \(start); its directory begins "
            + "at \(limit)"
        )
      }
      let other = try text(header + 30, nameCount, "the name at byte \(header + 30)")
      guard other == record.name, number(UInt16.self, header + 8) == record.method else {
        throw malformed(
          "the two headers of '\(record.name.shown())' differ: the other says '\(other.shown())'"
        )
      }
      ranges.append((header, end, record.name))
      entries.append(
        ZipEntry(
          name: record.name,
          bytes: UnsafeRawBufferPointer(rebasing: file.bytes[start..<end]),
          checksum: record.checksum
        )
      )
    }
    ranges.sort { ($0.start, $0.end) < ($1.start, $1.end) }
    for (before, after) in zip(ranges, ranges.dropFirst()) where after.start < before.end {
      throw malformed("'\(before.name.shown())' and '\(after.name.shown())' overlap")
    }
  }

  // MARK: - Bytes

  private func text(
    _ start: Int,
    _ count: Int,
    _ what: @autoclosure () -> String
  ) throws(ReFTError) -> String {
    guard (1...Self.longestName).contains(count) else {
      throw malformed("\(what()) has \(count) bytes, not 1 to \(Self.longestName)")
    }
    let slice = UnsafeRawBufferPointer(rebasing: file.bytes[start..<start + count])
    guard let text = String(validating: slice, as: UTF8.self), text.hasShortCharacters else {
      throw malformed("\(what()) is no UTF-8 text")
    }
    return text
  }

  /// A number of the file, or -1 where it would lie outside, or beyond what `Int` holds.
  private func number<Value: FixedWidthInteger>(_ type: Value.Type, _ place: Int) -> Int {
    guard place >= 0, place <= file.bytes.count - MemoryLayout<Value>.size else { return -1 }
    let value = file.bytes.loadUnaligned(fromByteOffset: place, as: Value.self)
    return Int(exactly: Value(littleEndian: value)) ?? -1
  }

  private func malformed(
    _ detail: String,
    remedy: String = "The file is damaged or incomplete; fetch or write it again."
  ) -> ReFTError {
    ReFTError.malformed("Torch", file.path, detail, remedy: remedy)
  }
}
