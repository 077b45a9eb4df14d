// SPDX-License-Identifier: Apache-2.0
// A plan as people read it: `reft model info --plan`.

extension ModelPlan: CustomStringConvertible {
  /// The plan in lines; neighbouring blocks that differ in nothing but their tensors stand together.
  public var description: String {
    var lines = [
      "\(architecture) '\(name)', \(blocks.count) blocks, context \(contextLength)",
      "embedding \(embedding)",
    ]
    var start = 0
    while start < blocks.count {
      var end = start + 1
      while end < blocks.count, blocks[end].lines == blocks[start].lines { end += 1 }
      lines.append(end - start > 1 ? "blocks \(start) to \(end - 1)" : "block \(start)")
      lines += blocks[start].lines.map { "  " + $0 }
      start = end
    }
    if let finalNorm { lines.append("final \(finalNorm)") }
    lines.append(isTied ? "head = embedding\(head.cap)" : "head \(head)")
    return lines.joined(separator: "\n")
  }
}

extension ModelPlan.Embedding: CustomStringConvertible {
  /// Its sizes, and what is added.
  public var description: String {
    var words = "\(weight)"
    if scale != 1 { words += " × \(scale)" }
    if let positions {
      words += " + positions \(positions.weight)"
      if positions.first != 0 { words += " from \(positions.first)" }
    }
    if let types { words += " + types \(types)" }
    if let norm { words += ", \(norm)" }
    return words
  }
}

extension ModelPlan.Head: CustomStringConvertible {
  /// What it predicts.
  public var description: String {
    switch self {
    case .language(let head): "\(head.weight)\(cap)"
    case .classifier(let head):
      "of classes: \(head.hidden), \(head.activation.rawValue), \(head.output)"
    case .none: "none"
    }
  }

  fileprivate var cap: String { language?.softCap.map { ", soft cap \($0)" } ?? "" }
}

extension ModelPlan.Block {
  /// The block without the names of its tensors.
  fileprivate var lines: [String] {
    let mlpName = isParallel ? "mlp of the block's input" : "mlp"
    return [
      branch(attentionNorm, "attention", attentionPostNorm, attentionSumNorm),
      "  query \(attention.query), key \(attention.key), value \(attention.value), "
        + "output \(attention.output)",
      "  \(attention.description)",
      branch(mlpNorm, mlpName, mlpPostNorm, mlpSumNorm),
      "  \(mlp.gate.map { "gate \($0), " } ?? "")up \(mlp.up), down \(mlp.down), "
        + mlp.activation.rawValue,
    ]
  }

  private func branch(
    _ norm: ModelPlan.Norm?,
    _ name: String,
    _ post: ModelPlan.Norm?,
    _ sum: ModelPlan.Norm?
  ) -> String {
    var words = "\(name)(\(norm.map { "\($0)(x)" } ?? "x"))"
    if let post { words = "\(post)(\(words))" }
    words = "x + " + words
    return sum.map { "\($0)(\(words))" } ?? words
  }
}

extension ModelPlan.Attention: CustomStringConvertible {
  /// Heads, mask and rotation.
  public var description: String {
    var words = "\(heads) heads of \(headSize) over \(keyValueHeads), "
    if let queryNorm {
      words += queryNorm.size == headSize ? "queries and keys " : "all queries and all keys "
      words += "\(queryNorm), "
    }
    switch mask {
    case .causal: words += "causal"
    case .window(let size): words += "the last \(size) keys"
    case .full: words += "all keys"
    }
    words += ", × \(scale)"
    if let softCap { words += ", soft cap \(softCap)" }
    guard let rotation else { return words }
    return words + ", \(rotation)"
      + (rotation.turned < headSize ? ", the first \(rotation.turned)" : "")
  }
}

extension ModelPlan.Rotation: CustomStringConvertible {
  /// Base, pairs and scaling.
  public var description: String {
    let how: String =
      switch scaling {
      case .none: ""
      case .linear(let factor): ", positions / \(factor)"
      case .llama3(let factor, let low, let high, let original):
        ", llama3 \(factor) (\(low) to \(high), \(Int(original)) positions)"
      case .factors(let tensor): ", factors '\(tensor)'"
      }
    return "rotated \(pairs == .halves ? "in halves" : "in pairs"), base \(base)\(how)"
  }
}

extension ModelPlan.Norm: CustomStringConvertible {
  /// Its kind and constants.
  public var description: String {
    let name = kind == .rms ? "rms" : "layer"
    return "\(name)(ε \(epsilon)\(offset == 0 ? "" : ", weight + \(offset)"))"
  }
}

extension ModelPlan.Matrix: CustomStringConvertible {
  /// Its sizes, and where it lies when that is not a tensor of its own.
  public var description: String {
    var words = "\(rows)×\(columns)"
    if bias != nil { words += " + bias" }
    if let slice { words += " of \(slice.total) rows" }
    if isTransposed { words += ", stored transposed" }
    return words
  }
}
