// SPDX-License-Identifier: Apache-2.0
// One file of a model in GGUF, and how the parts of a split model find each other.

import Foundation

/// The checked header of one GGUF file.
struct GGUFPart {
  /// The mapping that holds header and data.
  let file: MappedFile
  let version: Int
  let metadata: [String: GGUFValue]
  /// The keys in the order of the file, with the bytes of each value's type and content.
  let rawValues: [(key: String, bytes: Range<Int>)]
  let directory: GGUFDirectory

  /// Opens and checks a file, whatever else belongs to its model.
  ///
  /// - Throws: as `MappedFile`, and `badData` naming the place when the file breaks the format.
  init(path: String) throws(ReFTError) {
    file = try MappedFile(path: path)
    var reader = GGUFReader(file)
    version = try Self.readVersion(&reader)
    let tensorCount = try reader.count(of: 24, "the number of tensors")
    let valueCount = try reader.count(of: 13, "the number of metadata values")
    (metadata, rawValues) = try Self.readMetadata(&reader, count: valueCount)
    let alignment = try Self.alignment(metadata, reader)
    directory = try GGUFDirectory(&reader, count: tensorCount, alignment: alignment)
  }

  /// Adds the header, and 64 bytes at the start and in the middle of each tensor's data.
  func add(to hasher: inout SHA256Digest) {
    hasher.update(UnsafeRawBufferPointer(rebasing: file.bytes.prefix(directory.dataOffset)))
    for tensor in directory.tensors {
      let middle = tensor.bytes.dropFirst(tensor.bytes.count / 2)
      hasher.update(UnsafeRawBufferPointer(rebasing: tensor.bytes.prefix(64)))
      hasher.update(UnsafeRawBufferPointer(rebasing: middle.prefix(64)))
    }
  }

  // MARK: Parts

  /// How many parts the model has; 1 for a whole one.
  var partCount: Int { number("split.count") ?? 1 }

  /// Which part this is, from 0; nil where the file does not say.
  private var partIndex: Int? { number("split.no") }

  private func number(_ key: String) -> Int? {
    if case .int(let value) = metadata[key] { Int(value) } else { nil }
  }

  /// All parts of the model that a part belongs to, in order.
  ///
  /// - Throws: `badData` when the name is not that of such a part or a part says otherwise,
  ///   `inputMissing` naming a part that is not there.
  static func all(beside given: GGUFPart) throws(ReFTError) -> [GGUFPart] {
    let count = given.partCount
    guard let name = SplitName(path: given.file.path), name.count == count,
      name.number - 1 == given.partIndex ?? name.number - 1
    else {
      throw .splitNameWrong(index: given.partIndex, count: count, given.file.path)
    }
    var parts: [GGUFPart] = []
    for number in 1...count {
      let path = name.path(of: number)
      guard number != name.number else {
        parts.append(given)
        continue
      }
      guard FileManager.default.fileExists(atPath: path) else {
        throw .splitPartMissing(path, number: number, count: count)
      }
      let part = try GGUFPart(path: path)
      guard part.partCount == count, part.partIndex ?? number - 1 == number - 1 else {
        throw .splitPartWrong(
          path,
          index: part.partIndex,
          partCount: part.partCount,
          number: number,
          count: count
        )
      }
      parts.append(part)
    }
    return parts
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
  ) throws(ReFTError) -> ([String: GGUFValue], [(key: String, bytes: Range<Int>)]) {
    var metadata: [String: GGUFValue] = [:]
    var raw: [(key: String, bytes: Range<Int>)] = []
    for index in 0..<count {
      let key = try reader.name("metadata key \(index)")
      let start = reader.offset
      let type = try reader.valueType(of: key)
      guard metadata.updateValue(try reader.value(type, of: key), forKey: key) == nil else {
        throw reader.malformed("the metadata key '\(key)' occurs twice")
      }
      raw.append((key, start..<reader.offset))
    }
    return (metadata, raw)
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
