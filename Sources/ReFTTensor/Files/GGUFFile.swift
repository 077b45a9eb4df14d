// SPDX-License-Identifier: Apache-2.0
// A GGUF file: metadata and the directory of tensors, with the data left in the mapping.

import Synchronization

/// An open GGUF file of version 2 or 3, checked from end to end before anyone reads from it.
public final class GGUFFile: TensorSource {
  /// The mapping that holds all data.
  public let file: MappedFile
  /// The version of the format.
  public let version: Int
  /// The tensors in the order of the file's directory.
  public let tensors: [StoredTensor]
  /// The metadata by key.
  public let metadata: [String: GGUFValue]
  /// Where the data of the tensors starts in the file.
  public let dataOffset: Int
  private let tensorIndex: [String: Int]
  private let cachedFingerprint = Mutex<String?>(nil)

  /// Opens and checks a file; reads its header and none of its data.
  ///
  /// - Throws: as `MappedFile`, and `badData` naming the place when the file breaks the format.
  public init(path: String) throws(ReFTError) {
    file = try MappedFile(path: path)
    var reader = GGUFReader(file)
    version = try Self.readVersion(&reader)
    let tensorCount = try reader.count(of: 24, "the number of tensors")
    let valueCount = try reader.count(of: 13, "the number of metadata values")
    metadata = try Self.readMetadata(&reader, count: valueCount)
    let alignment = try Self.alignment(metadata, reader)
    let directory = try GGUFDirectory(&reader, count: tensorCount, alignment: alignment)
    tensors = directory.tensors
    tensorIndex = directory.index
    dataOffset = directory.dataOffset
  }

  /// The path as it was given.
  public var path: String { file.path }

  /// The file that holds the tensors' data.
  public var files: [MappedFile] { [file] }

  /// How the model is stored.
  public var format: ModelFormat { .gguf }

  /// The tensor of a name.
  public func tensor(_ name: String) -> StoredTensor? { tensorIndex[name].map { tensors[$0] } }

  /// A digest that tells models apart, as "sha256:" and 64 hexadecimal digits.
  ///
  /// It covers the whole header, and 64 bytes at the start and in the middle of each tensor's data:
  /// cheap for a file of any size, and different when the weights differ.
  public var fingerprint: String {
    cachedFingerprint.withLock { cached in
      if let cached { return cached }
      var hasher = SHA256Digest()
      hasher.update(UnsafeRawBufferPointer(rebasing: file.bytes.prefix(dataOffset)))
      for tensor in tensors {
        let middle = tensor.bytes.dropFirst(tensor.bytes.count / 2)
        hasher.update(UnsafeRawBufferPointer(rebasing: tensor.bytes.prefix(64)))
        hasher.update(UnsafeRawBufferPointer(rebasing: middle.prefix(64)))
      }
      let text = "sha256:" + hasher.finish()
      cached = text
      return text
    }
  }

  private static func readVersion(_ reader: inout GGUFReader) throws(ReFTError) -> Int {
    let magic = reader.file.bytes.prefix(4)
    guard magic.elementsEqual("GGUF".utf8) else {
      let found = magic.map { String($0, radix: 16) }.joined(separator: " ")
      throw ReFTError.malformed(
        "GGUF",
        reader.file.path,
        "starts with the bytes [\(found)], not with 'GGUF'",
        remedy: "Give a model in GGUF format."
      )
    }
    _ = try reader.integer(UInt32.self, "the magic number")
    let version = try reader.integer(UInt32.self, "the version")
    guard version == 2 || version == 3 else {
      let bigEndian = version.byteSwapped == 2 || version.byteSwapped == 3
      throw ReFTError.malformed(
        "GGUF",
        reader.file.path,
        bigEndian ? "is written in big-endian byte order" : "has version \(version), not 2 or 3",
        remedy: "Convert the model again to little-endian GGUF version 3."
      )
    }
    return Int(version)
  }

  private static func readMetadata(
    _ reader: inout GGUFReader,
    count: Int
  ) throws(ReFTError) -> [String: GGUFValue] {
    var metadata: [String: GGUFValue] = [:]
    for index in 0..<count {
      let key = try reader.name("metadata key \(index)")
      let type = try reader.valueType(of: key)
      guard metadata.updateValue(try reader.value(type, of: key), forKey: key) == nil else {
        throw reader.malformed("the metadata key '\(key)' occurs twice")
      }
    }
    return metadata
  }

  private static func alignment(
    _ metadata: [String: GGUFValue],
    _ reader: GGUFReader
  ) throws(ReFTError) -> Int {
    guard let value = metadata["general.alignment"] else { return 32 }
    guard case .int(let alignment) = value, (8...1 << 20).contains(alignment),
      alignment.nonzeroBitCount == 1
    else {
      throw reader.malformed(
        "'general.alignment' is \(value), not a power of two from 8 to 1048576"
      )
    }
    return Int(alignment)
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
