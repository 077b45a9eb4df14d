// SPDX-License-Identifier: Apache-2.0
// A model in GGUF: one file, or the parts of a split one, with the data left in the mappings.

import Synchronization

/// An open model in GGUF of version 2 or 3, checked from end to end before anyone reads from it.
///
/// Any part of a split model (`NAME-00001-of-00003.gguf`) opens all of them: the metadata are those of
/// the first part, the tensors those of all.
public final class GGUFFile: TensorSource {
  /// The path as it was given.
  public let path: String
  /// The version of the format.
  public let version: Int
  /// The tensors in the order of the directories.
  public let tensors: [StoredTensor]
  /// The metadata by key.
  public let metadata: [String: GGUFValue]
  /// The files that hold the tensors' data, the first part's first.
  public let files: [MappedFile]
  private let parts: [GGUFPart]
  private let tensorIndex: [String: Int]
  private let cachedFingerprint = Mutex<String?>(nil)

  /// Opens and checks a file and, where it is a part of a split model, the other parts; reads their
  /// headers and none of their data.
  ///
  /// - Throws: as `MappedFile`, `badData` naming the place when a file breaks the format or is no part
  ///   of the same model, `inputMissing` naming the part that is not there.
  public init(path: String) throws(ReFTError) {
    let given = try GGUFPart(path: path)
    parts = try given.partCount > 1 ? GGUFPart.all(beside: given) : [given]
    self.path = path
    files = parts.map(\.file)
    version = parts[0].version
    metadata = parts[0].metadata
    var tensors: [StoredTensor] = []
    var index: [String: Int] = [:]
    for part in parts {
      for tensor in part.directory.tensors {
        guard index.updateValue(tensors.count, forKey: tensor.name) == nil else {
          throw .tensorInTwoParts(tensor.name, part.file.path)
        }
        tensors.append(tensor)
      }
    }
    (self.tensors, tensorIndex) = (tensors, index)
    if parts.count > 1, case .int(let count) = metadata["split.tensors.count"],
      count != tensors.count
    {
      throw .splitTensorCount(count, found: tensors.count, parts[0].file.path)
    }
  }

  /// The file that holds the metadata.
  public var file: MappedFile { files[0] }

  /// The metadata as they lie in the file, in its order: to be written to another file.
  package var outputValues: [(key: String, value: GGUFOutputValue)] {
    parts[0].rawValues.map { key, range in
      let type = file.bytes.loadUnaligned(fromByteOffset: range.lowerBound, as: UInt32.self)
      let bytes = Array(file.bytes[range.lowerBound + 4..<range.upperBound])
      return (key, .raw(type: UInt32(littleEndian: type), bytes: bytes))
    }
  }

  /// The type that the value of a key has in the file; nil where there is no such key.
  public func valueType(_ key: String) -> GGUFValueType? {
    guard let range = parts[0].rawValues.first(where: { $0.key == key })?.bytes else { return nil }
    let type = file.bytes.loadUnaligned(fromByteOffset: range.lowerBound, as: UInt32.self)
    return GGUFValueType(rawValue: UInt32(littleEndian: type))
  }

  /// How the model is stored.
  public var format: ModelFormat { .gguf }

  /// The tensor of a name.
  public func tensor(_ name: String) -> StoredTensor? { tensorIndex[name].map { tensors[$0] } }

  /// A digest that tells models apart, as "sha256:" and 64 hexadecimal digits.
  ///
  /// It covers the whole header of each part, and 64 bytes at the start and in the middle of each
  /// tensor's data: cheap for a file of any size, and different when the weights differ.
  public var fingerprint: String {
    cachedFingerprint.withLock { cached in
      if let cached { return cached }
      var hasher = SHA256Digest()
      for part in parts { part.add(to: &hasher) }
      let text = "sha256:" + hasher.finish()
      cached = text
      return text
    }
  }
}

extension GGUFFile {
  /// The text of a key; nil when it is missing or of another type, as for all that follow.
  public func string(_ key: String) -> String? {
    if case .string(let value) = metadata[key] { value } else { nil }
  }

  /// The whole number of a key.
  public func int(_ key: String) -> Int? {
    if case .int(let value) = metadata[key] { Int(value) } else { nil }
  }

  /// The number of a key; whole numbers count.
  public func double(_ key: String) -> Double? {
    switch metadata[key] {
    case .double(let value): value
    case .int(let value): Double(value)
    case .uint(let value): Double(value)
    default: nil
    }
  }

  /// The truth value of a key.
  public func bool(_ key: String) -> Bool? {
    if case .bool(let value) = metadata[key] { value } else { nil }
  }

  /// The texts of a key.
  public func strings(_ key: String) -> [String]? {
    switch metadata[key] {
    case .strings(let values): values
    default: nil
    }
  }

  /// The whole numbers of a key.
  public func ints(_ key: String) -> [Int]? {
    guard case .numbers(let numbers) = metadata[key] else { return nil }
    return numbers.ints?.map(Int.init)
  }

  /// The single-precision numbers of a key.
  public func floats(_ key: String) -> [Float]? {
    guard case .numbers(let numbers) = metadata[key] else { return nil }
    return numbers.floats
  }

  /// The truth values of a key.
  public func bools(_ key: String) -> [Bool]? {
    guard case .numbers(let numbers) = metadata[key] else { return nil }
    return numbers.bools
  }
}
