// SPDX-License-Identifier: Apache-2.0
// A plan as people read it: `reft model info --plan`.

extension ModelPlan: CustomStringConvertible {
  /// The plan in lines; neighbouring blocks that differ in nothing but their tensors stand together.
  public var description: String {
    var lines = [
      "\(architecture) '\(name)', \(blocks.count) blocks, context \(contextLength)",
      "embedding \(embedding.weight)" + (embedding.scale == 1 ? "" : " × \(embedding.scale)"),
    ]
    var start = 0
    while start < blocks.count {
      var end = start + 1
      while end < blocks.count, blocks[end].lines == blocks[start].lines { end += 1 }
      lines.append(end - start > 1 ? "blocks \(start) to \(end - 1)" : "block \(start)")
      lines += blocks[start].lines.map { "  " + $0 }
      start = end
    }
    lines.append("final \(finalNorm)")
    lines.append(isTied ? "head = embedding" : "head \(head)")
    return lines.joined(separator: "\n")
  }
}

extension ModelPlan.Block {
  /// The block without the names of its tensors.
  fileprivate var lines: [String] {
    [
      "x + \(branch(attentionNorm, "attention", attentionPostNorm))",
      "  query \(attention.query), key \(attention.key), value \(attention.value), "
        + "output \(attention.output)",
      "  \(attention.description)",
      "x + \(branch(mlpNorm, "mlp", mlpPostNorm))",
      "  gate \(mlp.gate), up \(mlp.up), down \(mlp.down), \(mlp.activation.rawValue)",
    ]
  }

  private func branch(
    _ norm: ModelPlan.Norm,
    _ name: String,
    _ post: ModelPlan.Norm?
  ) -> String {
    (post.map { "\($0)(" } ?? "") + "\(name)(\(norm)(x))" + (post == nil ? "" : ")")
  }
}

extension ModelPlan.Attention: CustomStringConvertible {
  /// Heads, mask and rotation.
  public var description: String {
    var words = "\(heads) heads of \(headSize) over \(keyValueHeads), "
    if let queryNorm { words += "queries and keys \(queryNorm), " }
    switch mask {
    case .causal: words += "causal"
    case .window(let size): words += "the last \(size) keys"
    }
    return words + ", × \(scale), \(rotation)"
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
    "rms(ε \(epsilon)\(offset == 0 ? "" : ", weight + \(offset)"))"
  }
}

extension ModelPlan.Matrix: CustomStringConvertible {
  /// Its sizes.
  public var description: String { "\(rows)×\(columns)\(bias == nil ? "" : " + bias")" }
}
