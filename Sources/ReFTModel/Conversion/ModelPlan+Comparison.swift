// SPDX-License-Identifier: Apache-2.0
// Whether two plans compute the same, wherever their tensors lie: what a file that was written says
// must be what its folder says.

extension ModelPlan {
  /// What the other plan does otherwise, in words; nil where both compute the same.
  ///
  /// Names, order and offsets of tensors are not looked at, nor the divisors of a rotation that stand
  /// in a tensor: the tensors themselves are written such that these come out.
  func difference(from other: ModelPlan) -> String? {
    let (own, others) = (plain, other.plain)
    let aspects: [(name: String, isSame: Bool)] = [
      ("number of blocks", own.blocks.count == others.blocks.count),
      ("embedding", own.embedding == others.embedding),
      ("context", own.contextLength == others.contextLength),
    ]
    if let aspect = aspects.first(where: { !$0.isSame }) { return aspect.name }
    for (index, pair) in zip(own.blocks, others.blocks).enumerated() {
      if let name = pair.0.difference(from: pair.1) { return "\(name) in block \(index)" }
    }
    if own.finalNorm != others.finalNorm { return "norm behind the last block" }
    return own.head == others.head ? nil : "head"
  }

  /// The plan with nothing in it that says where numbers lie.
  private var plain: ModelPlan {
    var plan = self
    plan.embedding.weight = embedding.weight.plain
    plan.embedding.types = embedding.types?.plain
    plan.embedding.norm = embedding.norm?.plain
    if let positions = embedding.positions {
      // Rows before the first are of no token.
      plan.embedding.positions?.weight = positions.weight.plain
      plan.embedding.positions?.weight.rows -= positions.first
      plan.embedding.positions?.first = 0
    }
    plan.blocks = blocks.map(\.plain)
    plan.finalNorm = finalNorm?.plain
    switch head {
    case .language(let head):
      plan.head = .language(LanguageHead(weight: head.weight.plain, softCap: head.softCap))
    case .classifier(var head):
      (head.hidden, head.output) = (head.hidden.plain, head.output.plain)
      plan.head = .classifier(head)
    case .none: break
    }
    return plan
  }
}

extension ModelPlan.Matrix {
  fileprivate var plain: ModelPlan.Matrix {
    ModelPlan.Matrix(tensor: "", rows: rows, columns: columns, bias: bias.map { _ in "" })
  }
}

extension ModelPlan.Norm {
  fileprivate var plain: ModelPlan.Norm {
    var norm = self
    (norm.tensor, norm.bias, norm.offset) = ("", bias.map { _ in "" }, 0)
    return norm
  }
}

extension ModelPlan.Rotation {
  fileprivate var plain: ModelPlan.Rotation {
    var rotation = self
    // Files have 32 bits for these numbers.
    (rotation.pairs, rotation.base) = (.halves, Double(Float(base)))
    switch scaling {
    case .none: break
    case .linear(let factor): rotation.scaling = .linear(Double(Float(factor)))
    case .llama3, .factors: rotation.scaling = .factors(tensor: "")
    }
    return rotation
  }
}

extension ModelPlan.Block {
  fileprivate var plain: ModelPlan.Block {
    var block = self
    block.attentionNorm = attentionNorm?.plain
    block.attentionPostNorm = attentionPostNorm?.plain
    block.attentionSumNorm = attentionSumNorm?.plain
    block.mlpNorm = mlpNorm?.plain
    block.mlpPostNorm = mlpPostNorm?.plain
    block.mlpSumNorm = mlpSumNorm?.plain
    for path in [\ModelPlan.Attention.query, \.key, \.value, \.output] {
      block.attention[keyPath: path] = attention[keyPath: path].plain
    }
    block.attention.queryNorm = attention.queryNorm?.plain
    block.attention.keyNorm = attention.keyNorm?.plain
    block.attention.rotation = attention.rotation?.plain
    block.mlp.gate = mlp.gate?.plain
    (block.mlp.up, block.mlp.down) = (mlp.up.plain, mlp.down.plain)
    return block
  }

  /// What another block does otherwise; both are plain.
  fileprivate func difference(from other: ModelPlan.Block) -> String? {
    let (own, others) = (attention, other.attention)
    let aspects: [(name: String, isSame: Bool)] = [
      ("activation '\(mlp.activation.rawValue)'", mlp.activation == other.mlp.activation),
      ("window of keys", own.mask == others.mask),
      ("scaling of its rotation", own.rotation == others.rotation),
      ("scale of its attention", own.scale == others.scale),
      ("cap of its scores", own.softCap == others.softCap),
    ]
    if let aspect = aspects.first(where: { !$0.isSame }) { return aspect.name }
    return self == other ? nil : "arrangement"
  }
}
