// SPDX-License-Identifier: Apache-2.0
// Compiled kernels on the disk, by what they were compiled from.

import Foundation
import ReFTTensor

/// A folder of machine code: `<sha256 of the question>.cubin`.
///
/// A file holds the ELF image, and after it the 64 digits of its SHA-256; tools that read ELF do not
/// mind. What does not fit its digest is not there.
struct KernelCache: Sendable {
  private static let digestLength = 64

  let folder: String

  /// The name of a compiled text: equal texts, options and compilers give equal names.
  static func key(
    _ source: KernelSource,
    options: [String],
    compiler: (major: Int, minor: Int)
  ) -> String {
    var digest = SHA256Digest()
    let parts = ["reft kernel 1", "NVRTC \(compiler.major).\(compiler.minor)"] + options
    for part in parts { digest.update("\(part.utf8.count):\(part)\n") }
    digest.update(source.text)
    return digest.finish()
  }

  /// The machine code of a name; nil when there is none, or it is damaged.
  func load(_ key: String) -> [UInt8]? {
    guard let data = FileManager.default.contents(atPath: path(key)),
      data.count > Self.digestLength
    else { return nil }
    let image = [UInt8](data.dropLast(Self.digestLength))
    let digest = String(decoding: data.suffix(Self.digestLength), as: UTF8.self)
    return digest == SHA256Digest.hex(of: image) ? image : nil
  }

  /// Keeps machine code under a name.
  ///
  /// - Throws: `inputOutput` with the system's reason.
  func store(_ image: [UInt8], _ key: String) throws(ReFTError) {
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw .kernelCacheUnusable(folder, error)
    }
    try AtomicFile.write(image + Array(SHA256Digest.hex(of: image).utf8), to: path(key))
  }

  private func path(_ key: String) -> String { "\(folder)/\(key).cubin" }
}

extension ReFTError {
  fileprivate static func kernelCacheUnusable(
    _ folder: String,
    _ cause: any Error,
    location: Location = .here()
  ) -> ReFTError {
    ReFTError(
      .inputOutput,
      "Compiled kernels cannot be kept in '\(folder)': \(cause.localizedDescription); check its "
        + "permissions, or set REFT_HOME to a folder that can be written.",
      cause: cause,
      location: location
    )
  }
}
