// SPDX-License-Identifier: Apache-2.0
// The checksum of zip archives.

/// CRC-32 with the reflected polynomial 0xEDB88320.
enum Checksum32 {
  /// Four tables: the effect of a byte that is followed by none to three others.
  private static let tables: [[UInt32]] = {
    let first = (UInt32(0)..<256).map(single)
    var tables: [[UInt32]] = [first]
    for _ in 1..<4 {
      let last = tables[tables.count - 1]
      tables.append(last.map { value in (value >> 8) ^ first[Int(value & 0xFF)] })
    }
    return tables
  }()

  private static func single(_ byte: UInt32) -> UInt32 {
    var value = byte
    for _ in 0..<8 { value = value & 1 == 1 ? (value >> 1) ^ 0xEDB8_8320 : value >> 1 }
    return value
  }

  /// The checksum of bytes.
  static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    var sum: UInt32 = 0xFFFF_FFFF
    let (last, third, second, first) = (tables[0], tables[1], tables[2], tables[3])
    let whole = bytes.count & ~3
    for offset in stride(from: 0, to: whole, by: 4) {
      sum ^= UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
      let low = first[Int(sum & 0xFF)] ^ second[Int((sum >> 8) & 0xFF)]
      sum = low ^ third[Int((sum >> 16) & 0xFF)] ^ last[Int(sum >> 24)]
    }
    for byte in bytes[whole...] { sum = (sum >> 8) ^ last[Int((sum ^ UInt32(byte)) & 0xFF)] }
    return ~sum
  }
}
