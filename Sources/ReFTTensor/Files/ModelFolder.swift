// SPDX-License-Identifier: Apache-2.0
// A Hugging Face folder: config.json and the tensors of one safetensors file, or of several that an
// index lists.

import Foundation

/// An open model folder, checked before anyone reads from it; tensors stay in their mappings.
public final class ModelFolder: TensorSource {
  /// The folder.
  public let path: String
  /// The values of config.json, keys of nested objects joined by dots; nulls are left out.
  public let metadata: [String: GGUFValue]
  /// All tensors, file by file.
  public let tensors: [StoredTensor]
  /// The files that hold the tensors' data.
  public let files: [MappedFile]
  /// What tells models apart: "sha256:" and 64 hexadecimal digits.
  public let fingerprint: String
  private let index: [String: Int]

  /// How the model is stored.
  public var format: ModelFormat { .huggingFace }

  /// Opens a folder; reads config.json and the headers of the tensor files.
  ///
  /// - Throws: `inputMissing` for a folder without config.json or tensor files, `badData` naming the
  ///   file and place when one breaks its format or they do not fit together.
  public init(path: String) throws(ReFTError) {
    self.path = path
    let configuration = path + "/config.json"
    guard FileManager.default.fileExists(atPath: configuration) else {
      throw .folderWithoutConfiguration(path)
    }
    var metadata: [String: GGUFValue] = [:]
    try Self.flatten(try JSONFile.read(path: configuration), "", configuration, into: &metadata)
    self.metadata = metadata
    var files: [SafetensorsFile] = []
    for name in try Self.fileNames(in: path) {
      files.append(try Safetensors.read(path: path + "/" + name))
    }
    var tensors: [StoredTensor] = []
    var index: [String: Int] = [:]
    var names: Set<String> = []
    for file in files {
      for tensor in file.tensors {
        guard names.insert(tensor.name).inserted else { throw .tensorTwice(tensor.name, path) }
        if Self.isCounter(tensor) { continue }
        index[tensor.name] = tensors.count
        tensors.append(try Self.stored(tensor))
      }
    }
    try Self.checkIndex(path, names)
    (self.tensors, self.index) = (tensors, index)
    self.files = files.map(\.file)
    fingerprint = try Self.fingerprint(configuration, files)
  }

  /// The tensor of a name.
  public func tensor(_ name: String) -> StoredTensor? { index[name].map { tensors[$0] } }

  // MARK: Files

  private static let single = "model.safetensors"
  private static let list = "model.safetensors.index.json"

  /// The names of the tensor files, in order.
  ///
  /// - Throws: `inputMissing` without any, `badData` for an index of another form.
  package static func fileNames(in path: String) throws(ReFTError) -> [String] {
    let files = FileManager.default
    if files.fileExists(atPath: path + "/" + list) {
      return Set(try weightMap(path).values).sorted()
    }
    if files.fileExists(atPath: path + "/" + single) { return [single] }
    throw .folderWithoutTensors(path)
  }

  /// Which file holds each tensor, by the index.
  private static func weightMap(_ path: String) throws(ReFTError) -> [String: String] {
    let place = path + "/" + list
    guard case .object(let members) = try JSONFile.read(path: place)["weight_map"]?.content else {
      throw .indexMalformed(place, "has no object 'weight_map'")
    }
    var map: [String: String] = [:]
    for member in members {
      guard case .text(let file) = member.value.content, !file.isEmpty, !file.contains("/") else {
        throw .indexMalformed(place, "names no file of its folder for '\(member.key)'")
      }
      map[member.key] = file
    }
    guard !map.isEmpty else { throw .indexMalformed(place, "lists no tensors") }
    return map
  }

  private static func checkIndex(_ path: String, _ found: Set<String>) throws(ReFTError) {
    guard FileManager.default.fileExists(atPath: path + "/" + list) else { return }
    let map = try weightMap(path)
    if let missing = map.keys.filter({ !found.contains($0) }).min() {
      throw .indexMalformed(
        path + "/" + list,
        "lists the tensor '\(missing)', which '\(map[missing] ?? "")' does not hold"
      )
    }
  }

  /// Counters and masks that libraries keep as whole numbers; the model's plan says the same.
  private static let kept = [
    "position_ids", "token_type_ids", "attn.bias", "attention.bias", "masked_bias",
  ]

  /// Whether a tensor holds numbers that follow from the model's shape, and no weights.
  private static func isCounter(_ tensor: SafetensorsTensor) -> Bool {
    ![.f32, .f16, .bf16].contains(tensor.type) && kept.contains { tensor.name.hasSuffix($0) }
  }

  private static func stored(_ tensor: SafetensorsTensor) throws(ReFTError) -> StoredTensor {
    let type: TensorType
    switch tensor.type {
    case .f32: type = .f32
    case .f16: type = .f16
    case .bf16: type = .bf16
    default: throw .tensorFormat(tensor.name, tensor.type.rawValue, tensor.file.path)
    }
    return StoredTensor(
      name: tensor.name,
      type: type,
      shape: tensor.shape,
      bytes: tensor.bytes,
      owner: tensor.file
    )
  }

  /// Covers config.json, the headers, and 64 bytes at the start and in the middle of each tensor.
  private static func fingerprint(
    _ configuration: String,
    _ files: [SafetensorsFile]
  ) throws(ReFTError) -> String {
    var hasher = SHA256Digest()
    let settings = try MappedFile(path: configuration)
    withExtendedLifetime(settings) { hasher.update(settings.bytes) }
    for file in files {
      let data = file.tensors.reduce(0) { $0 + $1.bytes.count }
      let header = file.file.bytes.count - data
      hasher.update(UnsafeRawBufferPointer(rebasing: file.file.bytes.prefix(header)))
      for tensor in file.tensors {
        let middle = tensor.bytes.dropFirst(tensor.bytes.count / 2)
        hasher.update(UnsafeRawBufferPointer(rebasing: tensor.bytes.prefix(64)))
        hasher.update(UnsafeRawBufferPointer(rebasing: middle.prefix(64)))
      }
    }
    return "sha256:" + hasher.finish()
  }

  // MARK: Configuration

  private static func flatten(
    _ node: JSONNode,
    _ key: String,
    _ path: String,
    into values: inout [String: GGUFValue]
  ) throws(ReFTError) {
    if case .object(let members) = node.content {
      for member in members {
        let name = key.isEmpty ? member.key : key + "." + member.key
        try flatten(member.value, name, path, into: &values)
      }
      return
    }
    guard !key.isEmpty else { throw .configurationMalformed(path) }
    guard let value = value(of: node) else { return }
    guard values.updateValue(value, forKey: key) == nil else {
      throw .indexMalformed(path, "says '\(key)' twice, once as an object's key")
    }
  }

  private static func value(of node: JSONNode) -> GGUFValue? {
    switch node.content {
    case .null, .object: return nil
    case .flag(let flag): return .bool(flag)
    case .integer(let number): return .int(number)
    case .number(let number): return .double(number)
    case .text(let text): return .string(text)
    case .list(let items):
      let texts = items.compactMap { item -> String? in
        if case .text(let text) = item.content { text } else { nil }
      }
      if texts.count == items.count, !items.isEmpty { return .strings(texts) }
      return .lists(items.compactMap(value(of:)))
    }
  }
}

/// Opens models, whatever their format.
public enum ModelFiles {
  /// Opens a GGUF file or a Hugging Face folder.
  ///
  /// - Throws: as `GGUFFile` and `ModelFolder`.
  public static func open(_ path: String) throws(ReFTError) -> any TensorSource {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
      return try ModelFolder(path: path)
    }
    return try GGUFFile(path: path)
  }
}

extension ReFTError {
  static func folderWithoutConfiguration(_ path: String) -> ReFTError {
    ReFTError(
      .inputMissing,
      "Folder '\(path)' has no config.json; expected a Hugging Face folder (config.json, "
        + "*.safetensors, tokenizer.json). Name such a folder, or a .gguf file."
    )
  }

  static func folderWithoutTensors(_ path: String) -> ReFTError {
    ReFTError(
      .inputMissing,
      "Folder '\(path)' has neither model.safetensors nor model.safetensors.index.json. Fetch the "
        + "model's safetensors files; other formats are not read."
    )
  }

  static func configurationMalformed(_ path: String) -> ReFTError {
    ReFTError(.badData, "'\(path)' is no JSON object. Fetch the model's folder again.")
  }

  static func indexMalformed(_ path: String, _ detail: String) -> ReFTError {
    ReFTError(.badData, "'\(path)' \(detail). Fetch the model's folder again.")
  }

  static func tensorTwice(_ name: String, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Two files of folder '\(path)' hold a tensor '\(name)'; expected each in one. Fetch the model's "
        + "folder again."
    )
  }

  static func tensorFormat(_ name: String, _ type: String, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Tensor '\(name)' of '\(path)' has the type \(type); this version reads F32, F16 and BF16. Take "
        + "the unquantised model, or a GGUF file of it."
    )
  }
}
