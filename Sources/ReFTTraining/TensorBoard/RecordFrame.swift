// SPDX-License-Identifier: Apache-2.0
// How TensorBoard's files frame their records: length, check of the length, bytes, check of the bytes.

/// Records of the TFRecord format.
///
/// All numbers are little-endian; the checks are CRC-32C, rotated and shifted so that a file of
/// records within a record does not check itself.
package enum RecordFrame {
  /// What the format adds to a masked check.
  private static let mask: UInt32 = 0xA282_EAD8

  /// The frame of some bytes.
  package static func frame(_ bytes: [UInt8]) -> [UInt8] {
    let length = littleEndian(UInt64(bytes.count))
    return length + littleEndian(masked(length)) + bytes + littleEndian(masked(bytes))
  }

  /// The rotated and shifted check of some bytes.
  package static func masked(_ bytes: some Sequence<UInt8>) -> UInt32 {
    let crc = crc32c(bytes)
    return (crc >> 15 | crc << 17) &+ mask
  }

  /// CRC-32C (Castagnoli's polynomial), bit by bit reflected.
  package static func crc32c(_ bytes: some Sequence<UInt8>) -> UInt32 {
    ~bytes.reduce(~UInt32(0)) { crc, byte in
      crc >> 8 ^ table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)]
    }
  }

  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
  }

  /// A number as bytes, the lowest first.
  package static func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian, Array.init)
  }
}
