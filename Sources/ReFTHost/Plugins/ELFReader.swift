// SPDX-License-Identifier: Apache-2.0
// The tables of an ELF64 file, each offset and count checked against the file's size. Numbers are
// those of the System V ABI (gABI 4.1, chapters 4 and 5).

import ReFTTensor

/// Reads the parts of an ELF file that the dynamic linker uses.
struct ELFReader {
  enum Tag {
    static let needed: Int64 = 1
    static let hash: Int64 = 4
    static let stringTable: Int64 = 5
    static let symbolTable: Int64 = 6
    static let relocations: Int64 = 7
    static let relocationsSize: Int64 = 8
    static let stringTableSize: Int64 = 10
    static let jumpRelocationsSize: Int64 = 2
    static let jumpRelocations: Int64 = 23
    static let soname: Int64 = 14
    static let rPath: Int64 = 15
    static let textRelocations: Int64 = 22
    static let runPath: Int64 = 29
    static let flags: Int64 = 30
    static let gnuHash: Int64 = 0x6FFF_FEF5
    static let auxiliary: Int64 = 0x7FFF_FFFD
    static let filter: Int64 = 0x7FFF_FFFF
  }

  struct DynamicEntry {
    var tag: Int64
    var value: UInt64
  }

  struct Symbol {
    var name: UInt32
    var info: UInt8
    var visibility: UInt8
    var section: UInt16

    /// Global or weak.
    var isGlobal: Bool { (1...2).contains(info >> 4) }
    var isDefined: Bool { section != 0 }
    /// Default or protected: others can find it.
    var isVisible: Bool { visibility & 3 == 0 || visibility & 3 == 3 }
    /// A variable, a common block or a thread's variable.
    var isData: Bool { [1, 5, 6].contains(info & 15) }
  }

  struct Relocation {
    var offset: UInt64
    var symbol: Int
  }

  private struct Segment {
    var offset: UInt64
    var address: UInt64
    var fileSize: UInt64
  }

  private let bytes: UnsafeRawBufferPointer
  private let path: String
  private(set) var hasExecutableStack = false
  private(set) var hasWritableCode = false
  private var loads: [Segment] = []
  private var dynamic: Segment?

  init(_ bytes: UnsafeRawBufferPointer, path: String) {
    self.bytes = bytes
    self.path = path
  }

  /// Checks the file's header and finds its segments.
  mutating func readHeader() throws(ReFTError) {
    guard bytes.count >= 4, bytes.prefix(4).elementsEqual([0x7F, 0x45, 0x4C, 0x46]) else {
      throw .pluginNotELF(path, reason: "it does not begin with the ELF mark")
    }
    guard bytes.count >= 64 else {
      throw .pluginNotELF(path, reason: "it ends after \(bytes.count) bytes, within its header")
    }
    guard bytes[4] == 2, bytes[5] == 1 else {
      throw .pluginNotELF(path, reason: "it is not a 64-bit little-endian file")
    }
    let kind: UInt16 = try load(16)
    let machine: UInt16 = try load(18)
    guard machine == ELFImage.hostMachine else {
      throw .pluginNotELF(
        path,
        reason: "it is built for machine \(machine), and this one is \(ELFImage.hostMachine) "
          + "(62 is x86-64, 183 is arm64)"
      )
    }
    guard kind == 3 else {
      throw .pluginNotELF(path, reason: "its type is \(kind), not 3 (shared object)")
    }
    let start: UInt64 = try load(32)
    let size: UInt16 = try load(54)
    let count: UInt16 = try load(56)
    guard size >= 56 else { throw damaged("program headers of \(size) bytes") }
    for index in 0..<UInt64(count) {
      let (header, overflows) = start.addingReportingOverflow(index * UInt64(size))
      guard !overflows else { throw damaged("program headers at \(start)") }
      try readSegment(at: header)
    }
  }

  private mutating func readSegment(at header: UInt64) throws(ReFTError) {
    let type: UInt32 = try load(header)
    let flags: UInt32 = try load(header &+ 4)
    if type == 0x6474_E551 { hasExecutableStack = flags & 1 != 0 }
    guard type == 1 || type == 2 else { return }
    if type == 1, flags & 3 == 3 { hasWritableCode = true }
    let segment = Segment(
      offset: try load(header &+ 8),
      address: try load(header &+ 16),
      fileSize: try load(header &+ 32)
    )
    guard segment.offset <= bytes.count, segment.fileSize <= UInt64(bytes.count) - segment.offset
    else {
      throw damaged("a segment of \(segment.fileSize) bytes at \(segment.offset)")
    }
    if type == 1 { loads.append(segment) } else { dynamic = segment }
  }

  func dynamicEntries() throws(ReFTError) -> [DynamicEntry] {
    guard let dynamic else {
      throw .pluginNotELF(path, reason: "it has no dynamic section")
    }
    var entries: [DynamicEntry] = []
    for index in 0..<dynamic.fileSize / 16 {
      let place = dynamic.offset + index * 16
      let entry = DynamicEntry(tag: try load(place), value: try load(place + 8))
      if entry.tag == 0 { break }
      entries.append(entry)
    }
    return entries
  }

  func stringTable(_ dynamic: [DynamicEntry]) throws(ReFTError) -> ELFStrings {
    guard let start = dynamic.first(where: { $0.tag == Tag.stringTable }),
      let size = dynamic.first(where: { $0.tag == Tag.stringTableSize })
    else { throw damaged("no string table") }
    let offset = try fileOffset(start.value)
    guard size.value <= UInt64(bytes.count) - offset else {
      throw damaged("a string table of \(size.value) bytes")
    }
    let table = bytes[Int(offset)..<Int(offset + size.value)]
    return ELFStrings(bytes: UnsafeRawBufferPointer(rebasing: table), path: path)
  }

  func symbols(_ dynamic: [DynamicEntry]) throws(ReFTError) -> [Symbol] {
    guard let table = dynamic.first(where: { $0.tag == Tag.symbolTable }) else { return [] }
    let start = try fileOffset(table.value)
    let count = try symbolCount(dynamic)
    guard count <= (UInt64(bytes.count) - start) / 24 else {
      throw damaged("a table of \(count) symbols")
    }
    var symbols: [Symbol] = []
    for index in 0..<count {
      let place = start + index * 24
      symbols.append(
        Symbol(
          name: try load(place),
          info: try load(place + 4),
          visibility: try load(place + 5),
          section: try load(place + 6)
        )
      )
    }
    return symbols
  }

  /// The places that receive the address of a symbol as it stands: on x86-64 R_X86_64_64, GLOB_DAT
  /// and JUMP_SLOT, on arm64 their kin.
  func relocations(_ dynamic: [DynamicEntry]) throws(ReFTError) -> [Relocation] {
    let kinds: Set<UInt64> = [1, 6, 7, 257, 1025, 1026]
    var result: [Relocation] = []
    for (tag, sizeTag) in [
      (Tag.jumpRelocations, Tag.jumpRelocationsSize), (Tag.relocations, Tag.relocationsSize),
    ] {
      guard let table = dynamic.first(where: { $0.tag == tag }),
        let size = dynamic.first(where: { $0.tag == sizeTag })
      else { continue }
      let start = try fileOffset(table.value)
      guard size.value <= UInt64(bytes.count) - start else {
        throw damaged("relocations of \(size.value) bytes")
      }
      for index in 0..<size.value / 24 {
        let info: UInt64 = try load(start + index * 24 + 8)
        guard kinds.contains(info & 0xFFFF_FFFF) else { continue }
        result.append(Relocation(offset: try load(start + index * 24), symbol: Int(info >> 32)))
      }
    }
    return result
  }

  /// The symbol table does not say its length; the hash table does.
  private func symbolCount(_ dynamic: [DynamicEntry]) throws(ReFTError) -> UInt64 {
    if let hash = dynamic.first(where: { $0.tag == Tag.hash }) {
      return UInt64(try load(try fileOffset(hash.value) + 4) as UInt32)
    }
    guard let hash = dynamic.first(where: { $0.tag == Tag.gnuHash }) else { return 0 }
    let start = try fileOffset(hash.value)
    let bucketCount = UInt64(try load(start) as UInt32)
    let firstSymbol = UInt64(try load(start + 4) as UInt32)
    let bloomCount = UInt64(try load(start + 8) as UInt32)
    let buckets = start + 16 + bloomCount * 8
    var last: UInt64 = 0
    for index in 0..<bucketCount {
      last = max(last, UInt64(try load(buckets + index * 4) as UInt32))
    }
    guard last >= firstSymbol else { return firstSymbol }
    let chains = buckets + bucketCount * 4
    while try (load(chains + (last - firstSymbol) * 4) as UInt32) & 1 == 0 { last += 1 }
    return last + 1
  }

  /// Where in the file the byte of an address lies.
  private func fileOffset(_ address: UInt64) throws(ReFTError) -> UInt64 {
    for segment in loads
    where address >= segment.address && address - segment.address < segment.fileSize {
      return segment.offset + (address - segment.address)
    }
    throw damaged("address \(address) outside its segments")
  }

  private func load<T: FixedWidthInteger>(_ offset: UInt64) throws(ReFTError) -> T {
    let size = UInt64(MemoryLayout<T>.size)
    guard offset <= UInt64(bytes.count), size <= UInt64(bytes.count) - offset else {
      throw damaged("a table at \(offset)")
    }
    return T(littleEndian: bytes.loadUnaligned(fromByteOffset: Int(offset), as: T.self))
  }

  private func damaged(_ what: String) -> ReFTError {
    .pluginNotELF(path, reason: "it is damaged: \(what) in a file of \(bytes.count) bytes")
  }
}

/// The names in a string table.
struct ELFStrings {
  let bytes: UnsafeRawBufferPointer
  let path: String

  func name(at offset: UInt64) throws(ReFTError) -> String {
    guard offset < bytes.count, let end = bytes[Int(offset)...].firstIndex(of: 0) else {
      throw .pluginNotELF(path, reason: "it is damaged: a name at \(offset) of its string table")
    }
    return String(decoding: bytes[Int(offset)..<end], as: UTF8.self)
  }
}
