// SPDX-License-Identifier: Apache-2.0
// The facts of an ELF shared library that can be read without loading it. Every offset is checked.

import Glibc

/// A 64-bit little-endian ELF shared library.
struct ElfFile {
  /// A symbol of the dynamic table.
  struct Symbol {
    var name: String
    var isDefined: Bool
    var isExported: Bool
  }

  /// A place that the loader fills with a symbol's address.
  struct Relocation {
    var offset: UInt64
    var symbol: String
  }

  private(set) var machine: UInt16 = 0
  private(set) var needed: [String] = []
  /// Where it says that what it needs lies.
  private(set) var searchFolders: [String] = []
  private(set) var symbols: [Symbol] = []
  private(set) var slots: [Relocation] = []
  private(set) var hasTextRelocations = false
  private(set) var hasExecutableStack = false
  private(set) var hasWritableCode = false
  private let bytes: [UInt8]

  /// The machine that this program was built for.
  static var nativeMachine: UInt16 {
    #if arch(x86_64)
    62
    #else
    183
    #endif
  }

  init(path: String) throws {
    bytes = try ElfFile.contents(path)
    guard bytes.count >= 64, Array(bytes[0..<4]) == [0x7F, 0x45, 0x4C, 0x46] else {
      throw Breach("Not an ELF file: \(bytes.count) bytes without the ELF mark at the start.")
    }
    guard bytes[4] == 2, bytes[5] == 1 else {
      throw Breach("ELF class \(bytes[4]), data \(bytes[5]); a 64-bit little-endian one is needed.")
    }
    let type: UInt16 = try load(16)
    guard type == 3 else {
      throw Breach("ELF type \(type); a shared library (type 3) is needed: link with -shared.")
    }
    machine = try load(18)
    try readSegments()
  }

  private static func contents(_ path: String) throws -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Breach("Cannot open \(path): \(errorText(errno)).") }
    defer { close(descriptor) }
    var facts = stat()
    fstat(descriptor, &facts)
    let size = Int(facts.st_size)
    guard size < 1 << 30 else { throw Breach("\(path) is \(size) bytes; at most 1 GiB is read.") }
    var done = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      while done < size, let start = buffer.baseAddress {
        let n = read(descriptor, start + done, size - done)
        if n <= 0 { break }
        done += n
      }
      count = done
    }
    guard bytes.count == size else { throw Breach("Cannot read \(path): \(errorText(errno)).") }
    return bytes
  }

  private func load<T: FixedWidthInteger>(_ offset: UInt64, as type: T.Type = T.self) throws -> T {
    let size = MemoryLayout<T>.size
    guard offset <= UInt64(bytes.count), UInt64(bytes.count) - offset >= UInt64(size) else {
      throw Breach("The ELF tables point to byte \(offset) of a file of \(bytes.count) bytes.")
    }
    return bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: Int(offset), as: T.self) }
  }

  private func text(_ offset: UInt64) throws -> String {
    guard offset < UInt64(bytes.count) else {
      throw Breach("The ELF string table points past the end of the file.")
    }
    return String(decoding: bytes[Int(offset)...].prefix(4096).prefix { $0 != 0 }, as: UTF8.self)
  }

  private mutating func readSegments() throws {
    let table: UInt64 = try load(32)
    let entrySize: UInt16 = try load(54)
    let count: UInt16 = try load(56)
    var loads: [(address: UInt64, offset: UInt64, size: UInt64)] = []
    var dynamic: (offset: UInt64, size: UInt64)?
    for index in 0..<UInt64(count) {
      let at = table &+ index * UInt64(entrySize)
      let kind: UInt32 = try load(at)
      let flags: UInt32 = try load(at + 4)
      let offset: UInt64 = try load(at + 8)
      let address: UInt64 = try load(at + 16)
      let size: UInt64 = try load(at + 32)
      switch kind {
      case 1:
        loads.append((address, offset, size))
        if flags & 3 == 3 { hasWritableCode = true }
      case 2: dynamic = (offset, size)
      case 0x6474_E551: hasExecutableStack = flags & 1 != 0
      default: break
      }
    }
    guard let dynamic else { throw Breach("It has no dynamic section; link it with -shared.") }
    func fileOffset(_ address: UInt64) throws -> UInt64 {
      for load in loads where address >= load.address && address - load.address < load.size {
        return load.offset &+ (address - load.address)
      }
      throw Breach("The ELF tables name address \(address), which is in no segment.")
    }
    var entries: [Int64: UInt64] = [:]
    var neededOffsets: [UInt64] = []
    var searchOffsets: [UInt64] = []
    for index in 0..<min(dynamic.size / 16, 4096) {
      let tag: Int64 = try load(dynamic.offset &+ index * 16)
      let value: UInt64 = try load(dynamic.offset &+ index * 16 + 8)
      if tag == 0 { break }
      // Filters are loaded like what is needed.
      if [1, 0x7FFF_FFFD, 0x7FFF_FFFF].contains(tag) { neededOffsets.append(value) }
      if tag == 15 || tag == 29 { searchOffsets.append(value) }
      if tag == 22 || (tag == 30 && value & 4 != 0) { hasTextRelocations = true }
      entries[tag] = value
    }
    guard let stringAddress = entries[5], let symbolAddress = entries[6] else {
      throw Breach("The dynamic section has no symbol or string table.")
    }
    let strings = try fileOffset(stringAddress)
    needed = try neededOffsets.map { try text(strings &+ $0) }
    searchFolders = try searchOffsets.flatMap { offset in
      try text(strings &+ offset).split(separator: ":", omittingEmptySubsequences: false)
        .map(String.init)
    }
    let symbolTable = try fileOffset(symbolAddress)
    // The string table follows the symbols in every linker's output; that bounds their number.
    let limit = strings > symbolTable ? (strings - symbolTable) / 24 : 100_000
    for index in 1..<max(2, min(limit, 1_000_000)) {
      let at = symbolTable &+ index * 24
      guard at &+ 24 <= UInt64(bytes.count) else { break }
      let name: UInt32 = try load(at)
      let info: UInt8 = try load(at + 4)
      let other: UInt8 = try load(at + 5)
      let section: UInt16 = try load(at + 6)
      guard info & 0xF <= 10, UInt64(name) < UInt64(bytes.count) else { break }
      let isVisible = (other & 3 == 0 || other & 3 == 3) && (info >> 4 == 1 || info >> 4 == 2)
      symbols.append(
        Symbol(
          name: try text(strings &+ UInt64(name)),
          isDefined: section != 0,
          isExported: section != 0 && isVisible
        )
      )
    }
    for (tag, sizeTag) in [(Int64(23), Int64(2)), (7, 8)] {
      guard let address = entries[tag], let size = entries[sizeTag] else { continue }
      let start = try fileOffset(address)
      for index in 0..<min(size / 24, 1_000_000) {
        let offset: UInt64 = try load(start &+ index * 24)
        let info: UInt64 = try load(start &+ index * 24 + 8)
        let symbol = Int(info >> 32)
        // Absolute addresses of symbols: R_X86_64_GLOB_DAT, JUMP_SLOT, 64 and their AArch64 kin.
        guard [1, 6, 7, 257, 1025, 1026].contains(info & 0xFFFF_FFFF), symbol > 0,
          symbol <= symbols.count
        else { continue }
        slots.append(Relocation(offset: offset, symbol: symbols[symbol - 1].name))
      }
    }
  }
}
