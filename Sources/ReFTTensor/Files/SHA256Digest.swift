// SPDX-License-Identifier: Apache-2.0
// SHA-256 as text, over nettle.

import CNettle

/// A running SHA-256, and shorthands for whole inputs; results are 64 hexadecimal digits.
public struct SHA256Digest {
  private var state = sha256_ctx()

  /// Starts with no input.
  public init() { nettle_sha256_init(&state) }

  /// Adds bytes.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard let first = bytes.baseAddress else { return }
    nettle_sha256_update(&state, bytes.count, first.assumingMemoryBound(to: UInt8.self))
  }

  /// Adds the bytes of a text in UTF-8.
  public mutating func update(_ text: String) {
    var text = text
    text.withUTF8 { update(UnsafeRawBufferPointer($0)) }
  }

  /// The digest of all input so far.
  public func finish() -> String {
    var ending = state
    var digest = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_SIZE))
    nettle_sha256_digest(&ending, digest.count, &digest)
    return Self.hexadecimal(digest)
  }

  /// The digest of bytes.
  public static func hex(of bytes: some Sequence<UInt8>) -> String {
    var digest = SHA256Digest()
    let whole: Void? = bytes.withContiguousStorageIfAvailable {
      digest.update(UnsafeRawBufferPointer($0))
    }
    if whole == nil { Array(bytes).withUnsafeBytes { digest.update($0) } }
    return digest.finish()
  }

  /// The digest of raw memory.
  public static func hex(of bytes: UnsafeRawBufferPointer) -> String {
    var digest = SHA256Digest()
    digest.update(bytes)
    return digest.finish()
  }

  /// The digest of a file's content.
  ///
  /// - Throws: as `MappedFile`.
  public static func hex(ofFile path: String) throws(ReFTError) -> String {
    let file = try MappedFile(path: path)
    // Nothing else keeps the mapping alive while its bytes are read.
    return withExtendedLifetime(file) { hex(of: file.bytes) }
  }

  private static func hexadecimal(_ digest: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for byte in digest {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 0xf)])
    }
    return String(decoding: text, as: UTF8.self)
  }
}
