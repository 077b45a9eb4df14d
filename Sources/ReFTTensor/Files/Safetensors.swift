// SPDX-License-Identifier: Apache-2.0
// Reading and writing safetensors files. The header's text is parsed in SafetensorsHeader.swift.

/// The number formats of tensors in safetensors files that this program reads.
public enum SafetensorsType: String, Sendable, CaseIterable {
  /// Floating-point numbers.
  case f64 = "F64"
  /// Single precision.
  case f32 = "F32"
  /// Half precision.
  case f16 = "F16"
  /// The upper half of single precision.
  case bf16 = "BF16"
  /// Signed integers.
  case i64 = "I64"
  /// Signed integers of 32 bits.
  case i32 = "I32"
  /// Signed integers of 16 bits.
  case i16 = "I16"
  /// Signed integers of 8 bits.
  case i8 = "I8"
  /// Unsigned integers.
  case u64 = "U64"
  /// Unsigned integers of 32 bits.
  case u32 = "U32"
  /// Unsigned integers of 16 bits.
  case u16 = "U16"
  /// Unsigned integers of 8 bits.
  case u8 = "U8"
  /// Truth values, one byte each.
  case bool = "BOOL"

  /// The bytes of one element.
  public var byteCount: Int {
    switch self {
    case .f64, .i64, .u64: 8
    case .f32, .i32, .u32: 4
    case .f16, .bf16, .i16, .u16: 2
    case .i8, .u8, .bool: 1
    }
  }
}

/// A tensor of a safetensors file; its bytes are valid as long as the file object lives.
public struct SafetensorsTensor: @unchecked Sendable {
  // Sendable: the bytes are read-only, and the file that holds them is kept alive here.

  /// The name in the file.
  public let name: String
  /// The number format.
  public let type: SafetensorsType
  /// The sizes, slowest first; empty for a single number.
  public let shape: [Int]
  /// The elements, row after row, little-endian.
  public let bytes: UnsafeRawBufferPointer
  let file: MappedFile

  /// How many elements there are.
  public var elementCount: Int { bytes.count / type.byteCount }
}

/// An open safetensors file, checked from end to end before anyone reads from it.
public final class SafetensorsFile: Sendable {
  /// The mapping that holds all data.
  public let file: MappedFile
  /// The free texts of the header.
  public let metadata: [String: String]
  /// All tensors in the order of their data.
  public let tensors: [SafetensorsTensor]
  private let index: [String: Int]

  init(path: String) throws(ReFTError) {
    file = try MappedFile(path: path)
    let header = try SafetensorsHeader(file)
    metadata = header.metadata
    tensors = header.tensors
    index = Dictionary(uniqueKeysWithValues: zip(tensors.map(\.name), tensors.indices))
  }

  /// The names of all tensors in the order of their data.
  public var names: [String] { tensors.map(\.name) }

  /// The tensor of a name.
  public func tensor(_ name: String) -> SafetensorsTensor? { index[name].map { tensors[$0] } }

  /// The raw elements of a tensor.
  ///
  /// - Returns: bytes that are valid as long as this object lives.
  /// - Throws: `badData` when there is no such tensor.
  public func bytes(_ name: String) throws(ReFTError) -> UnsafeRawBufferPointer {
    try require(name).bytes
  }

  /// The elements of a floating-point tensor as float32; F64 is rounded to nearest.
  ///
  /// - Throws: `badData` when there is no such tensor, or it holds no floating-point numbers.
  public func floats(_ name: String) throws(ReFTError) -> [Float] {
    let tensor = try require(name)
    let count = tensor.elementCount
    let source: TensorType
    switch tensor.type {
    case .f32: source = .f32
    case .f16: source = .f16
    case .bf16: source = .bf16
    case .f64:
      return (0..<count).map {
        let bits = tensor.bytes.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self)
        return Float(Double(bitPattern: UInt64(littleEndian: bits)))
      }
    default:
      throw ReFTError.malformed(
        "Safetensors",
        file.path,
        "tensor '\(name)' has the type \(tensor.type.rawValue)",
        remedy: "Floating-point numbers (F32, F16, BF16, F64) are expected there."
      )
    }
    return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      if count > 0, let start = tensor.bytes.baseAddress, let destination = buffer.baseAddress {
        source.dequantize(start, count: count, into: destination)
      }
      initialized = count
    }
  }

  private func require(_ name: String) throws(ReFTError) -> SafetensorsTensor {
    guard let tensor = tensor(name) else {
      let known = names.prefix(8).map { "'\($0)'" }.joined(separator: ", ")
      throw ReFTError.malformed(
        "Safetensors",
        file.path,
        "has no tensor '\(name)'",
        remedy: "It holds \(tensors.count): \(known)\(tensors.count > 8 ? ", …" : "")."
      )
    }
    return tensor
  }
}

/// The safetensors format: named tensors behind a JSON header.
public enum Safetensors {
  /// Opens a file and checks its header.
  ///
  /// - Throws: as `MappedFile`, and `badData` naming the place when the file breaks the format.
  public static func read(path: String) throws(ReFTError) -> SafetensorsFile {
    try SafetensorsFile(path: path)
  }

  /// Writes float32 tensors, and tensors of other formats, through `AtomicFile`.
  ///
  /// The bytes depend on the arguments alone: tensors and metadata are ordered by name.
  ///
  /// - Parameters:
  ///   - tensors: names must differ from each other and from "__metadata__".
  ///   - raw: tensors of other number formats.
  ///   - metadata: free texts for the header.
  ///   - path: the file to make or replace.
  /// - Throws: `usage` when names or shapes do not fit, `inputOutput` when the system refuses.
  public static func write(
    _ tensors: [NamedTensor],
    raw: [RawTensor] = [],
    metadata: [String: String],
    to path: String
  ) throws(ReFTError) {
    // The numbers before the others: their data begins at multiples of four.
    let sorted = tensors.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    let others = raw.sorted { ($0.type.byteCount, $1.name) > ($1.type.byteCount, $0.name) }
    let header = try SafetensorsHeader.encode(
      sorted.map { ($0.name, .f32, $0.shape, $0.values.count) }
        + others.map { ($0.name, $0.type, $0.shape, $0.bytes.count / $0.type.byteCount) },
      metadata,
      path
    )
    try AtomicFile.write(to: path) { writer throws(ReFTError) in
      try writer.write(header)
      for tensor in sorted {
        // Every platform of Swift's is little-endian, as the format is.
        try tensor.values.withBytes { bytes throws(ReFTError) in try writer.write(bytes) }
      }
      for tensor in others {
        try tensor.bytes.withBytes { bytes throws(ReFTError) in try writer.write(bytes) }
      }
    }
  }
}
