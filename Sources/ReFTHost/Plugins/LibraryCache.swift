// SPDX-License-Identifier: Apache-2.0
// The dynamic linker's list of the system's libraries, /etc/ld.so.cache, in the form that glibc writes
// since 2.2 (elf/cache.c, `struct cache_file_new`).

import Foundation

/// Reads where the system's libraries lie.
enum LibraryCache {
  /// Library names and paths, those for this machine; empty where there is no list to be believed.
  static let paths: [String: String] = read("/etc/ld.so.cache")

  /// Folders in which the linker looks last.
  static let defaultFolders: [String] = {
    #if arch(x86_64)
    let machine = "x86_64-linux-gnu"
    #else
    let machine = "aarch64-linux-gnu"
    #endif
    return [
      "/lib/\(machine)", "/usr/lib/\(machine)", "/lib64", "/usr/lib64", "/lib", "/usr/lib",
    ]
  }()

  private static let mark = Array("glibc-ld.so.cache1.1".utf8)
  private static let headerSize = 48
  private static let entrySize = 24
  /// FLAG_ELF_LIBC6 and the machine's own bits.
  #if arch(x86_64)
  private static let flags: UInt32 = 0x0303
  #else
  private static let flags: UInt32 = 0x0A03
  #endif

  static func read(_ path: String) -> [String: String] {
    guard case .there(let place) = FileWalk.walk(path), place.isSystems,
      let data = FileManager.default.contents(atPath: place.path)
    else { return [:] }
    // Older systems keep a list in the old form in front.
    guard let start = data.range(of: Data(mark))?.lowerBound else { return [:] }
    return data.dropFirst(start - data.startIndex).withUnsafeBytes { entries(in: $0) }
  }

  private static func entries(in bytes: UnsafeRawBufferPointer) -> [String: String] {
    guard let count = number(bytes, mark.count),
      Int(count) <= (bytes.count - headerSize) / entrySize
    else { return [:] }
    var result: [String: String] = [:]
    for index in 0..<Int(count) {
      let place = headerSize + index * entrySize
      guard number(bytes, place) == flags, number(bytes, place + 16) == 0,
        number(bytes, place + 20) == 0, let name = text(bytes, number(bytes, place + 4)),
        let path = text(bytes, number(bytes, place + 8)), result[name] == nil
      else { continue }
      result[name] = path
    }
    return result
  }

  private static func number(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt32? {
    guard offset >= 0, offset <= bytes.count - 4 else { return nil }
    return UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  private static func text(_ bytes: UnsafeRawBufferPointer, _ offset: UInt32?) -> String? {
    guard let offset, Int(offset) < bytes.count,
      let end = bytes[Int(offset)...].firstIndex(of: 0)
    else { return nil }
    return String(decoding: bytes[Int(offset)..<end], as: UTF8.self)
  }
}
