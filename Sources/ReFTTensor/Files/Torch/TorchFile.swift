// SPDX-License-Identifier: Apache-2.0
// Files of torch.save: a zip archive with a pickle that describes tensors, and an entry for the numbers
// of each. How they are taken apart is in ZipDirectory.swift and PickleReader.swift.

/// A tensor of a torch file.
public struct TorchTensor: Sendable {
  /// The name in the file.
  public let name: String
  /// The number format.
  public let element: TorchElement
  /// The sizes, slowest first; empty for a single number.
  public let shape: [Int]
  fileprivate let entry: Int
  fileprivate let storageCount: Int
  fileprivate let offset: Int
  fileprivate let strides: [Int]

  /// How many elements there are.
  public var elementCount: Int { shape.contains(0) ? 0 : shape.reduce(1, *) }
}

/// An open file of named tensors that torch.save wrote; opening it runs nothing of what is in it.
public final class TorchFile: @unchecked Sendable {
  // Sendable: the entries' bytes are read-only, and the file that holds them is kept here.

  /// The mapping that holds all data.
  public let file: MappedFile
  /// The tensors in the order of the file.
  public let tensors: [TorchTensor]
  private let entries: [ZipEntry]
  private let index: [String: Int]

  /// Opens and checks a file.
  ///
  /// - Throws: as `MappedFile`, and `badData` naming the place for what breaks the format, and for
  ///   pickles that ask for more than tensors.
  public init(path: String) throws(ReFTError) {
    file = try MappedFile(path: path)
    guard file.bytes.starts(with: [0x50, 0x4B]) else {
      throw ReFTError.malformed(
        "Torch",
        path,
        "is no zip archive",
        remedy: "Load it with PyTorch and save it again: torch.save has written archives since 1.6."
      )
    }
    entries = try ZipDirectory(file).entries
    let root = try Self.root(of: entries, path)
    let places = Dictionary(uniqueKeysWithValues: zip(entries.map(\.name), entries.indices))
    if let order = places[root + "byteorder"] {
      guard entries[order].bytes.elementsEqual("little".utf8) else {
        throw ReFTError.malformed(
          "Torch",
          path,
          "is not in little-endian byte order",
          remedy: "Save it again on a little-endian machine."
        )
      }
    }
    guard let pickle = places[root + "data.pkl"] else {
      throw ReFTError.malformed("Torch", path, "has no data.pkl")
    }
    var reader = try PickleReader(Self.checked(entries[pickle], path), path: path)
    var tensors: [TorchTensor] = []
    for (name, tensor) in try reader.read() {
      tensors.append(try Self.place(name, tensor, in: places, entries, root: root, path))
    }
    self.tensors = tensors
    index = Dictionary(uniqueKeysWithValues: zip(tensors.map(\.name), tensors.indices))
  }

  /// The names of all tensors in the order of the file.
  public var names: [String] { tensors.map(\.name) }

  /// The tensor of a name.
  public func tensor(_ name: String) -> TorchTensor? { index[name].map { tensors[$0] } }

  /// The elements of a floating-point tensor as float32, row after row; float64 is rounded to nearest.
  ///
  /// - Throws: `badData` when there is no such tensor, it holds no floating-point numbers, or its bytes
  ///   do not have the checksum that the file states.
  public func floats(_ name: String) throws(ReFTError) -> [Float] {
    guard let tensor = tensor(name) else {
      throw ReFTError.malformed("Torch", file.path, "has no tensor '\(name.shown())'")
    }
    let storage = try Self.checked(entries[tensor.entry], file.path)
    let values = try numbers(storage, tensor)
    var result: [Float] = []
    result.reserveCapacity(tensor.elementCount)
    guard tensor.elementCount > 0 else { return result }
    // Counts like an odometer: the last size fastest.
    var place = [Int](repeating: 0, count: tensor.shape.count)
    var position = tensor.offset
    while true {
      result.append(values[position])
      var axis = place.count - 1
      while axis >= 0 {
        place[axis] += 1
        position += tensor.strides[axis]
        if place[axis] < tensor.shape[axis] { break }
        position -= place[axis] * tensor.strides[axis]
        place[axis] = 0
        axis -= 1
      }
      if axis < 0 { return result }
    }
  }

  /// All numbers of a storage.
  private func numbers(
    _ storage: UnsafeRawBufferPointer,
    _ tensor: TorchTensor
  ) throws(ReFTError) -> [Float] {
    let count = tensor.storageCount
    let type: TensorType
    switch tensor.element {
    case .float32: type = .f32
    case .float16: type = .f16
    case .bfloat16: type = .bf16
    case .float64:
      return (0..<count).map {
        let bits = storage.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self)
        return Float(Double(bitPattern: UInt64(littleEndian: bits)))
      }
    case .int64, .int32, .int16, .int8, .uint8, .bool:
      throw ReFTError.malformed(
        "Torch",
        file.path,
        "tensor '\(tensor.name.shown())' holds \(tensor.element.storageName)",
        remedy: "Floating-point numbers are expected there."
      )
    }
    return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      if count > 0, let start = storage.baseAddress, let destination = buffer.baseAddress {
        type.dequantize(start, count: count, into: destination)
      }
      initialized = count
    }
  }

  /// The folder that all entries are in: the archive's name, whatever torch made of it.
  private static func root(of entries: [ZipEntry], _ path: String) throws(ReFTError) -> String {
    guard let name = entries.first?.name, let slash = name.firstIndex(of: "/") else {
      throw ReFTError.malformed("Torch", path, "has no entries, or none in a folder")
    }
    let root = String(name[...slash])
    for entry in entries where !entry.name.hasPrefix(root) || entry.name.contains("..") {
      throw ReFTError.malformed(
        "Torch",
        path,
        "'\(entry.name.shown())' is not in the folder '\(root.shown())' of the other entries"
      )
    }
    return root
  }

  private static func place(
    _ name: String,
    _ tensor: PickledTensor,
    in places: [String: Int],
    _ entries: [ZipEntry],
    root: String,
    _ path: String
  ) throws(ReFTError) -> TorchTensor {
    guard let entry = places[root + "data/" + tensor.storage] else {
      throw ReFTError.malformed(
        "Torch",
        path,
        "the numbers of '\(name.shown())' are not there: no entry 'data/\(tensor.storage.shown())'"
      )
    }
    let (count, overflows) = tensor.storageCount.multipliedReportingOverflow(
      by: tensor.element.byteCount
    )
    guard !overflows, entries[entry].bytes.count == count else {
      throw ReFTError.malformed(
        "Torch",
        path,
        "'data/\(tensor.storage.shown())' has \(entries[entry].bytes.count) bytes, not "
          + "\(tensor.storageCount) × \(tensor.element.byteCount) as '\(name.shown())' needs"
      )
    }
    return TorchTensor(
      name: name,
      element: tensor.element,
      shape: tensor.shape,
      entry: entry,
      storageCount: tensor.storageCount,
      offset: tensor.offset,
      strides: tensor.strides
    )
  }

  private static func checked(
    _ entry: ZipEntry,
    _ path: String
  ) throws(ReFTError) -> UnsafeRawBufferPointer {
    guard Checksum32.of(entry.bytes) == entry.checksum else {
      throw ReFTError.malformed(
        "Torch",
        path,
        "'\(entry.name.shown())' does not have the checksum that the archive states"
      )
    }
    return entry.bytes
  }
}
