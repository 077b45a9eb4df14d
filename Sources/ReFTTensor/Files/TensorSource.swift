// SPDX-License-Identifier: Apache-2.0
// What a model is read from: metadata and named tensors, in whatever format they are stored.

/// How a model is stored, which decides what its keys and tensors are called.
public enum ModelFormat: Sendable, Hashable {
  /// One GGUF file.
  case gguf
  /// A Hugging Face folder: config.json and safetensors.
  case huggingFace
}

/// The metadata and the tensors of a stored model, checked when it was opened.
///
/// Nothing is read of the tensors' data before somebody asks; it stays mapped as long as the source
/// or one of its tensors lives.
public protocol TensorSource: AnyObject, Sendable {
  /// The file or folder.
  var path: String { get }
  /// How it is stored.
  var format: ModelFormat { get }
  /// The metadata by key; keys of nested objects are joined by dots.
  var metadata: [String: GGUFValue] { get }
  /// All tensors, in the order of the file.
  var tensors: [StoredTensor] { get }
  /// The files that hold the tensors' data.
  var files: [MappedFile] { get }
  /// What tells models apart: "sha256:" and 64 hexadecimal digits.
  var fingerprint: String { get }
  /// The tensor of a name.
  func tensor(_ name: String) -> StoredTensor?
}

extension TensorSource {
  /// Sizes in the order in which the format writes them.
  public func inFileOrder(_ shape: [Int]) -> [Int] { format == .gguf ? shape.reversed() : shape }

  /// Bytes of all tensors' data.
  public var dataByteCount: Int { tensors.reduce(0) { $0 + $1.bytes.count } }

  /// The number format that most elements have.
  public var mostCommonType: TensorType? {
    var counts: [TensorType: Int] = [:]
    for tensor in tensors { counts[tensor.type, default: 0] += tensor.elementCount }
    return counts.max { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) }?.key
  }

  /// What a GGUF file calls its mix of number formats, by the number of `general.file_type`.
  private static var mixes: [Int64: String] {
    [
      11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
      17: "Q5_K_M",
    ]
  }

  /// The mix of number formats as the file names it, as in Q4_K_M; else the one that most elements
  /// have, or "none".
  public var fileType: String {
    guard let type = mostCommonType else { return "none" }
    guard case .int(let number) = metadata["general.file_type"], let mix = Self.mixes[number],
      mix != "\(type)_S"
    else { return "\(type)" }
    return mix
  }
}
