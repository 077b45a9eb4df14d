// SPDX-License-Identifier: Apache-2.0
// All matrices and norms of a plan, for those who do the same with each.

extension ModelPlan {
  /// The matrices, in the order of the computation; a tied head is not named again.
  var matrices: [Matrix] {
    var all = [embedding.weight, embedding.positions?.weight, embedding.types].compactMap { $0 }
    for block in blocks {
      let attention = block.attention
      all += [attention.query, attention.key, attention.value, attention.output]
      all += [block.mlp.gate, block.mlp.up, block.mlp.down].compactMap { $0 }
    }
    switch head {
    case .language(let head): if !isTied { all.append(head.weight) }
    case .classifier(let head): all += [head.hidden, head.output]
    case .none: break
    }
    return all
  }

  /// The norms, in the order of the computation.
  var norms: [Norm] {
    let ofBlocks = blocks.flatMap { block in
      [
        block.attentionNorm, block.attention.queryNorm, block.attention.keyNorm,
        block.attentionPostNorm, block.attentionSumNorm, block.mlpNorm, block.mlpPostNorm,
        block.mlpSumNorm,
      ]
    }
    return ([embedding.norm] + ofBlocks + [finalNorm]).compactMap { $0 }
  }
}
