// SPDX-License-Identifier: Apache-2.0
// Attention as a step: keys and values of a pass go to caches, and every row gets its weighted values.
// The mathematics, forward and backward, are in Attention.

import ReFTTensor

struct AttentionStep: Step {
  let block: Int
  let attention: Attention
  let inTail = false
  var kind: WorkKind { .attention }

  /// Those of a cache are made as they are stored.
  func makesRows(_ pass: Pass) -> Bool { pass.layout.fillsCaches }

  func forward(_ pass: Pass, after pending: RowWork?) -> RowWork? {
    defer { pass.clock?.lap(kind) }
    let (block, attention, layout) = (block, attention, pass.layout)
    let (rows, out) = (pass.queryKeyValue(block), pass.mixed(inTail: false))
    guard pass.defersRows else {
      attention.store(layout.spans, block: block, rows: rows, after: pending, pool: pass.pool)
      attention.forward(
        layout.spans,
        block: block,
        rows: rows,
        out: out,
        logSumExp: pass.keeps(block) ? logSumExp(pass) : nil,
        splits: pass.splitsAttention,
        pool: pass.pool
      )
      return nil
    }
    return attention.forward(
      decoded: layout.spans,
      block: block,
      rows: rows,
      out: out,
      storing: true,
      after: pending,
      pool: pass.pool
    )
  }

  func backward(_ pass: Pass) {
    let layout = pass.layout
    attention.backward(
      layout.spans,
      rows: pass.queryKeyValue(block),
      logSumExp: logSumExp(pass),
      gradient: pass.mixed(inTail: false),
      result: pass.headGradients(),
      prefixCount: layout.prefixCount,
      prefixGradients: pass.memory.prefixGradients.floats(
        layout.spans.count * pass.shape.keyValueWidth * layout.prefixCount * 2
      ),
      partSums: { pass.memory.partSums.floats($0) },
      pool: pass.pool
    )
    pass.clock?.lap(kind)
  }

  private func logSumExp(_ pass: Pass) -> UnsafeMutablePointer<Float> {
    pass.block(block).logSumExp.floats(pass.layout.rowCount * attention.heads)
  }
}
