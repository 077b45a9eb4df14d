// SPDX-License-Identifier: Apache-2.0
// Writes files that torch.load reads, its restricted mode (`weights_only`) too.

/// A tensor for a torch file.
public struct TorchItem: Sendable {
  /// Its numbers.
  public enum Values: Sendable {
    /// Single precision, row after row.
    case floats([Float])
    /// One whole number of 8 bytes, without dimensions.
    case integer(Int64)
  }
  /// The name in the file.
  public var name: String
  /// The sizes, slowest first.
  public var shape: [Int]
  /// The numbers.
  public var values: Values

  /// A tensor of single precision.
  public init(_ name: String, shape: [Int], _ values: [Float]) {
    (self.name, self.shape, self.values) = (name, shape, .floats(values))
  }

  /// A single whole number.
  public init(_ name: String, _ value: Int) {
    (self.name, shape, values) = (name, [], .integer(Int64(value)))
  }
}

extension TorchFile {
  /// Writes tensors through `AtomicFile`; the bytes depend on the arguments alone.
  ///
  /// - Throws: `usage` when a shape does not fit its values or all are more than the format's 4 GiB;
  ///   `inputOutput` when the system refuses.
  public static func write(_ items: [TorchItem], to path: String) throws(ReFTError) {
    var pickle = PickleWriter()
    var archive = ZipWriter(path: path)
    var storages: [[UInt8]] = []
    for item in items {
      switch item.values {
      case .floats(let values):
        guard item.shape.reduce(1, *) == values.count else {
          throw ReFTError.cannotEncode(
            "torch",
            path,
            "tensor '\(item.name)' has \(values.count) values and the shape \(item.shape)"
          )
        }
        storages.append(values.withUnsafeBytes { Array($0) })
        pickle.add(item, .float32, count: values.count, storage: storages.count - 1)
      case .integer(let value):
        storages.append(withUnsafeBytes(of: value.littleEndian) { Array($0) })
        pickle.add(item, .int64, count: 1, storage: storages.count - 1)
      }
    }
    try archive.add("archive/data.pkl", pickle.finish())
    try archive.add("archive/byteorder", Array("little".utf8))
    for (number, bytes) in storages.enumerated() {
      try archive.add("archive/data/\(number)", bytes)
    }
    try archive.add("archive/version", Array("3\n".utf8))
    try AtomicFile.write(archive.finish(), to: path)
  }
}

/// The pickle of a map of tensors.
private struct PickleWriter {
  private var bytes: [UInt8] = [PickleOpcode.proto.rawValue, 2]

  init() {
    name("collections", "OrderedDict")
    add(.emptyTuple, .reduce, .mark)
  }

  mutating func add(_ item: TorchItem, _ element: TorchElement, count: Int, storage: Int) {
    text(item.name)
    name("torch._utils", "_rebuild_tensor_v2")
    add(.mark)
    add(.mark)
    text("storage")
    name("torch", element.rawValue + "Storage")
    text(String(storage))
    text("cpu")
    number(count)
    add(.tuple, .persistent)
    number(0)
    tuple(item.shape)
    var strides = [Int](repeating: 1, count: item.shape.count)
    for axis in item.shape.indices.dropLast().reversed() {
      strides[axis] = strides[axis + 1] * item.shape[axis + 1]
    }
    tuple(strides)
    add(.newFalse)
    name("collections", "OrderedDict")
    add(.emptyTuple, .reduce, .tuple, .reduce)
  }

  func finish() -> [UInt8] { bytes + [PickleOpcode.setItems.rawValue, PickleOpcode.stop.rawValue] }

  private mutating func add(_ opcodes: PickleOpcode...) { bytes += opcodes.map(\.rawValue) }

  private mutating func name(_ module: String, _ name: String) {
    add(.global)
    bytes += Array("\(module)\n\(name)\n".utf8)
  }

  private mutating func text(_ text: String) {
    add(.text)
    bytes.append(integer: UInt32(text.utf8.count))
    bytes += Array(text.utf8)
  }

  private mutating func tuple(_ values: [Int]) {
    add(.mark)
    for value in values { number(value) }
    add(.tuple)
  }

  private mutating func number(_ value: Int) {
    if let small = Int32(exactly: value) {
      add(.int4)
      bytes.append(integer: small)
    } else {
      add(.long1)
      bytes.append(8)
      bytes.append(integer: Int64(value))
    }
  }
}

/// A zip archive of stored entries, the data of each at a multiple of 64 bytes.
private struct ZipWriter {
  let path: String
  private var bytes: [UInt8] = []
  private var directory: [UInt8] = []
  private var count = 0

  init(path: String) { self.path = path }

  mutating func add(_ name: String, _ content: [UInt8]) throws(ReFTError) {
    let start = bytes.count
    guard start + content.count < 0xFFFF_FF00 else {
      throw ReFTError.cannotEncode("torch", path, "its tensors take more than 4 GiB")
    }
    let checksum = content.withUnsafeBytes(Checksum32.of)
    let name = Array(name.utf8)
    // An extra field of its own fills the gap; torch's has the same letters.
    let plain = start + 30 + name.count + 4
    let gap = (64 - plain % 64) % 64
    bytes.append(integer: UInt32(0x0403_4B50))
    header(&bytes, checksum: checksum, size: content.count, name: name, extra: gap + 4)
    bytes += name
    bytes += Array("FB".utf8)
    bytes.append(integer: UInt16(gap))
    bytes += [UInt8](repeating: 0, count: gap) + content
    directory.append(integer: UInt32(0x0201_4B50))
    directory.append(integer: UInt16(20))
    header(&directory, checksum: checksum, size: content.count, name: name, extra: 0)
    // Comment, disk, attributes.
    directory += [UInt8](repeating: 0, count: 10)
    directory.append(integer: UInt32(start))
    directory += name
    count += 1
  }

  func finish() -> [UInt8] {
    var end: [UInt8] = []
    end.append(integer: UInt32(0x0605_4B50))
    end.append(integer: UInt32(0))
    end.append(integer: UInt16(count))
    end.append(integer: UInt16(count))
    end.append(integer: UInt32(directory.count))
    end.append(integer: UInt32(bytes.count))
    end.append(integer: UInt16(0))
    return bytes + directory + end
  }

  private func header(
    _ bytes: inout [UInt8],
    checksum: UInt32,
    size: Int,
    name: [UInt8],
    extra: Int
  ) {
    // Version 2.0; names in UTF-8; stored; midnight of 1 January 1980.
    for value: UInt16 in [20, 0x0800, 0, 0, 0x21] { bytes.append(integer: value) }
    bytes.append(integer: checksum)
    bytes.append(integer: UInt32(size))
    bytes.append(integer: UInt32(size))
    bytes.append(integer: UInt16(name.count))
    bytes.append(integer: UInt16(extra))
  }
}
