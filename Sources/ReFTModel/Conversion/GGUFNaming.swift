// SPDX-License-Identifier: Apache-2.0
// What the keys and tensors of a folder are called in a GGUF file, and how their rows lie there.

import Foundation
import ReFTTensor

/// The names of one model's parts in GGUF.
struct GGUFNaming {
  /// What converters to GGUF do to a family's tensors.
  struct Habits {
    /// Whether rows of queries and keys are reordered so that rotated pairs are neighbours.
    var pairsRows = false
    /// What is added to the weights of norms.
    var normOffset: Float = 0
  }

  /// The families that are written, by the plan's name of them.
  private static let families: [String: Habits] = [
    "llama": Habits(pairsRows: true), "gemma3": Habits(normOffset: 1),
  ]

  /// Their names.
  static var known: [String] { families.keys.sorted() }

  let habits: Habits
  /// The name in GGUF of each tensor of the folder.
  private let names: [String: String]

  /// Finds the names of a folder's parts.
  ///
  /// - Throws: `badData` for a family that is not written.
  init(
    _ source: any TensorSource,
    family: String,
    names files: FileNames,
    layers: Int
  ) throws(ReFTError) {
    guard let habits = Self.families[family] else {
      throw .familyNotWritten(family, known: Self.known, source.path)
    }
    self.habits = habits
    var names: [String: String] = [:]
    func add(_ part: String) {
      let own = files.tensor(part, source)
      for suffix in ["weight", "bias"] { names["\(own).\(suffix)"] = "\(part).\(suffix)" }
    }
    for part in ["token_embd", "output_norm", "output"] { add(part) }
    for block in 0..<layers {
      for part in files.parts.keys { add("blk.\(block).\(part)") }
    }
    self.names = names
  }

  /// The name in GGUF of a tensor; nil where the file has none for it.
  func name(of tensor: String) -> String? { names[tensor] }

  /// The row of the folder's tensor that stands at a row of the file's.
  ///
  /// In the folder a head's pairs are the numbers of its halves; in the file they are neighbours.
  func sourceRow(of row: Int, in name: String, headSize: Int) -> Int {
    guard habits.pairsRows, Self.isRotated(name) else { return row }
    let place = row % headSize
    return row - place + place % 2 * (headSize / 2) + place / 2
  }

  /// What is added to the numbers of a tensor.
  func offset(in name: String) -> Float {
    name.hasSuffix("norm.weight") ? habits.normOffset : 0
  }

  private static func isRotated(_ name: String) -> Bool {
    name.contains(".attn_q.") || name.contains(".attn_k.")
  }
}

extension ReFTError {
  static func familyNotWritten(_ family: String, known: [String], _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' is of the family '\(family)', which this version does not write to GGUF; it "
        + "writes \(known.joined(separator: ", ")). Use the folder as it is, or convert a file in GGUF."
    )
  }

  static func tensorNotWritten(_ name: String, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' holds the tensor '\(name)', for which GGUF files of its family have no name; "
        + "use the folder as it is."
    )
  }

  static func formatNotWritten(_ type: TensorType, known: [TensorType]) -> ReFTError {
    ReFTError(
      .usage,
      "format \(type) is not written, expected one of "
        + known.map { "\($0)" }.joined(separator: ", ")
    )
  }

  static func numberUnfit(
    _ tensor: String,
    _ index: Int,
    _ value: Float,
    _ type: TensorType,
    _ path: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "Tensor '\(tensor)' of model '\(path)' holds \(value) at element \(index), which \(type) cannot "
        + "hold; choose BF16 or F32, or fetch the model again where that is no number."
    )
  }

  static func scaleNotWritten(_ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' scales its attention by a number of its own, for which GGUF files of its family "
        + "have no key; use the folder as it is."
    )
  }
}
