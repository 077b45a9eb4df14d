// SPDX-License-Identifier: Apache-2.0
// The checksum of zip archives.

/// CRC-32 with the reflected polynomial 0xEDB88320.
enum Checksum32 {
  /// Four tables: the effect of a byte that is followed by none to three others.
  private static let tables: [[UInt32]] = {
    let first = (0..<256).map { byte in
      (0..<8).reduce(UInt32(byte)) { value, _ in
        value & 1 == 1 ? (value >> 1) ^ 0xEDB8_8320 : value >> 1
      }
    }
    var tables = [first]
    for _ in 1..<4 {
      tables.append(tables[tables.count - 1].map { ($0 >> 8) ^ first[Int($0 & 0xFF)] })
    }
    return tables
  }()

  /// The checksum of bytes.
  static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    var sum: UInt32 = 0xFFFF_FFFF
    let (last, third, second, first) = (tables[0], tables[1], tables[2], tables[3])
    let whole = bytes.count & ~3
    for offset in stride(from: 0, to: whole, by: 4) {
      sum ^= UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
      sum =
        first[Int(sum & 0xFF)] ^ second[Int((sum >> 8) & 0xFF)] ^ third[Int((sum >> 16) & 0xFF)]
        ^ last[Int(sum >> 24)]
    }
    for byte in bytes[whole...] { sum = (sum >> 8) ^ last[Int((sum ^ UInt32(byte)) & 0xFF)] }
    return ~sum
  }
}
