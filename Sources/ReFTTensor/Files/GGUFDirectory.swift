// SPDX-License-Identifier: Apache-2.0
// The tensor directory of a GGUF file: names, shapes, and where the data lies.

/// The checked directory: no tensor leaves the file, and no two share a byte.
struct GGUFDirectory {
  private(set) var tensors: [StoredTensor] = []
  private(set) var index: [String: Int] = [:]
  private(set) var dataOffset = 0

  private struct Entry {
    var name: String
    var type: TensorType
    var dimensions: [Int]
    var offset: Int
    var byteCount: Int
  }

  init(_ reader: inout GGUFReader, count: Int, alignment: Int) throws(ReFTError) {
    var entries: [Entry] = []
    entries.reserveCapacity(count)
    for number in 0..<count {
      let entry = try Self.entry(number, &reader, alignment: alignment)
      guard index.updateValue(number, forKey: entry.name) == nil else {
        throw reader.malformed("two tensors are named '\(entry.name)'")
      }
      entries.append(entry)
    }
    let fileSize = reader.file.bytes.count
    dataOffset =
      entries.isEmpty ? reader.offset : reader.offset + Self.padding(reader.offset, alignment)
    for entry in entries {
      let available = fileSize - dataOffset - entry.offset
      guard available >= entry.byteCount else {
        throw reader.malformed(
          "tensor '\(entry.name)' needs \(entry.byteCount) bytes from offset \(entry.offset) of the"
            + " data, and the file has \(max(0, available)) there"
        )
      }
      let start = dataOffset + entry.offset
      let data = UnsafeRawBufferPointer(
        rebasing: reader.file.bytes[start..<start + entry.byteCount]
      )
      tensors.append(
        StoredTensor(
          name: entry.name,
          type: entry.type,
          shape: entry.dimensions.reversed(),
          bytes: data,
          owner: reader.file
        )
      )
    }
    try Self.refuseOverlaps(entries, reader)
  }

  private static func padding(_ offset: Int, _ alignment: Int) -> Int {
    (alignment - offset % alignment) % alignment
  }

  private static func entry(
    _ number: Int,
    _ reader: inout GGUFReader,
    alignment: Int
  ) throws(ReFTError) -> Entry {
    let name = try reader.name("the name of tensor \(number)")
    let rank = try reader.integer(UInt32.self, "the rank of tensor '\(name)'")
    guard (1...4).contains(rank) else {
      throw reader.malformed("tensor '\(name)' has \(rank) dimensions, not 1 to 4")
    }
    var dimensions: [Int] = []
    var elements = 1
    for _ in 0..<rank {
      let size = try reader.integer(UInt64.self, "the sizes of tensor '\(name)'")
      guard size > 0, let size = Int(exactly: size) else {
        throw reader.malformed("tensor '\(name)' has a dimension of size \(size)")
      }
      let (product, overflow) = elements.multipliedReportingOverflow(by: size)
      // No format takes less than a bit for an element, so this bound refuses nothing real.
      guard !overflow, product / 8 <= reader.file.bytes.count else {
        throw reader.malformed("tensor '\(name)' has more elements than the file has bits")
      }
      elements = product
      dimensions.append(size)
    }
    let number = try reader.integer(UInt32.self, "the type of tensor '\(name)'")
    guard let type = TensorType(rawValue: number) else {
      throw ReFTError.malformed(
        "GGUF",
        reader.file.path,
        "tensor '\(name)' has the number format \(number)",
        remedy: "This reader knows "
          + TensorType.allCases.map { "\($0) (\($0.rawValue))" }.joined(separator: ", ")
          + "; convert the model to one of them."
      )
    }
    guard dimensions[0] % type.blockSize == 0 else {
      throw reader.malformed(
        "tensor '\(name)' has rows of \(dimensions[0]) elements, not a multiple of the"
          + " \(type.blockSize) of \(type)"
      )
    }
    let offset = try reader.integer(UInt64.self, "the offset of tensor '\(name)'")
    guard offset <= UInt64(reader.file.bytes.count) else {
      throw reader.malformed(
        "tensor '\(name)' starts at offset \(offset) of the data, beyond the end of the file"
      )
    }
    guard offset % UInt64(alignment) == 0 else {
      throw reader.malformed(
        "tensor '\(name)' starts at offset \(offset), not a multiple of the alignment \(alignment)"
      )
    }
    return Entry(
      name: name,
      type: type,
      dimensions: dimensions,
      offset: Int(offset),
      byteCount: type.byteCount(elements: elements)
    )
  }

  private static func refuseOverlaps(_ entries: [Entry], _ reader: GGUFReader) throws(ReFTError) {
    let sorted = entries.sorted { $0.offset < $1.offset }
    for (first, second) in zip(sorted, sorted.dropFirst())
    where second.offset - first.offset < first.byteCount {
      throw reader.malformed(
        "the tensors '\(first.name)' and '\(second.name)' overlap at offset \(second.offset) of the"
          + " data"
      )
    }
  }
}
