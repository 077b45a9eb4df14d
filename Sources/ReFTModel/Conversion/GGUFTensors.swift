// SPDX-License-Identifier: Apache-2.0
// What the tensors of a folder are called in a GGUF file and how their numbers lie there, by the plan
// of the folder: what a plan reads as slices, transposed or offset, a file holds as converters write it.

import ReFTTensor

/// How the tensors of one folder are written.
struct GGUFTensors {
  /// How one of them is written.
  struct Form {
    /// The name in the file.
    var name: String
    /// The sizes in the file, rows first.
    var shape: [Int]
    /// The folder's row that stands at each row of the file; nil where they lie alike.
    var rows: [Int]?
    /// Whether the folder holds the matrix transposed.
    var isTransposed = false
    /// What is added to each number.
    var offset: Float = 0
  }

  /// The forms by the folder's names; tensors that the plan does not read have none.
  private(set) var forms: [String: Form] = [:]
  private let names: [String: String]
  private let source: any TensorSource

  /// Finds the form of every tensor that a plan reads.
  ///
  /// - Throws: `badData` for a tensor that GGUF has no name for.
  init(_ source: any TensorSource, _ plan: ModelPlan, _ files: FileNames) throws(ReFTError) {
    self.source = source
    names = Self.names(files, source, blocks: plan.blocks.count)
    for norm in plan.norms {
      for tensor in [norm.tensor, norm.bias].compactMap({ $0 }) {
        let offset = tensor == norm.tensor ? norm.offset : 0
        try add(tensor, Form(name: "", shape: [norm.size], offset: offset))
      }
    }
    var order: [String] = []
    var sharing: [String: [ModelPlan.Matrix]] = [:]
    for matrix in plan.matrices {
      if sharing[matrix.tensor] == nil { order.append(matrix.tensor) }
      sharing[matrix.tensor, default: []].append(matrix)
    }
    for tensor in order { try add(sharing[tensor] ?? [], Self.pairedRows(plan)[tensor]) }
    if let positions = plan.embedding.positions, positions.first > 0 {
      let rows = Array(positions.first..<positions.weight.rows)
      forms[positions.weight.tensor]?.rows = rows
      forms[positions.weight.tensor]?.shape[0] = rows.count
    }
  }

  /// Adds a tensor that holds the rows of some matrices, one above the other in the file, and its bias.
  private mutating func add(_ matrices: [ModelPlan.Matrix], _ paired: [Int]?) throws(ReFTError) {
    guard let first = matrices.first else { return }
    var rows = paired
    // Heads that lie one behind the other: each matrix is several runs of rows.
    if let run = first.slice?.run, run < first.rows {
      rows = matrices.flatMap { matrix in
        (0..<matrix.rows).map { matrix.slice?.row($0) ?? $0 }
      }
    }
    let count = first.slice?.total ?? first.rows
    try add(
      first.tensor,
      Form(name: "", shape: [count, first.columns], rows: rows, isTransposed: first.isTransposed)
    )
    if let bias = first.bias { try add(bias, Form(name: "", shape: [count], rows: rows)) }
  }

  private mutating func add(_ tensor: String, _ form: Form) throws(ReFTError) {
    guard let name = names[tensor] else { throw .tensorNotWritten(tensor, source.path) }
    forms[tensor] = form
    forms[tensor]?.name = name
  }

  /// The names in GGUF of all tensors that a folder of the family may have.
  private static func names(
    _ files: FileNames,
    _ source: any TensorSource,
    blocks: Int
  ) -> [String: String] {
    // The oldest folders say gamma and beta.
    let suffixes = ["weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"]
    var names: [String: String] = [:]
    func add(_ part: String) {
      let own = files.tensor(part, source)
      for (suffix, written) in suffixes { names["\(own).\(suffix)"] = "\(part).\(written)" }
    }
    for part in [
      "token_embd", "position_embd", "token_types", "token_embd_norm", "output_norm", "output",
      "cls", "cls.output",
    ] { add(part) }
    for block in 0..<blocks {
      for part in files.parts.keys { add("blk.\(block).\(part)") }
    }
    return names
  }

  /// The order of queries' and keys' rows in a llama's file: a pair that turns together is the numbers
  /// of a head's two halves in the folder, and two neighbours in the file.
  private static func pairedRows(_ plan: ModelPlan) -> [String: [Int]] {
    guard plan.architecture == "llama" else { return [:] }
    var rows: [String: [Int]] = [:]
    for block in plan.blocks {
      let half = block.attention.headSize / 2
      for matrix in [block.attention.query, block.attention.key] {
        rows[matrix.tensor] = (0..<matrix.rows).map { row in
          let place = row % (2 * half)
          return row - place + place % 2 * half + place / 2
        }
      }
    }
    return rows
  }
}

extension ReFTError {
  fileprivate static func tensorNotWritten(_ name: String, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' holds the tensor '\(name)', for which GGUF files of its family have no name; "
        + "use the folder as it is."
    )
  }
}
