// SPDX-License-Identifier: Apache-2.0
// Products of a block's rows with frozen weights, by the kind of rows: many at once are one matrix
// product, decoded tokens go to the kernels for few rows.

import CReFTKernels
import ReFTTensor

extension BlockStack {
  /// into = stream + x Wᵀ; where `site` is edited, the product is edited before it is added.
  func addProduct(
    _ weight: StackedWeight,
    x: UnsafeMutablePointer<Float>,
    runs: [RowRun],
    to stream: UnsafeMutablePointer<Float>,
    into out: UnsafeMutablePointer<Float>,
    site: Component,
    _ index: Int,
    inTail: Bool
  ) throws {
    let d = shape.hiddenSize
    let n = runs.reduce(0) { $0 + $1.count }
    if out != stream {
      rows(n) { first, m in
        (out + first * d).update(from: stream + first * d, count: m * d)
      }
    }
    guard wants(site, index) else {
      multiply(weight, runs: runs, x: x, y: out, accumulate: true)
      return
    }
    let product = delta.floats(n * d)
    multiply(weight, runs: runs, x: x, y: product, accumulate: false)
    try fire(site, index, product, stride: d, inTail: inTail)
    rows(n) { first, m in reft_axpy_f32(m * d, 1, product + first * d, out + first * d) }
  }

  func multiply(
    _ weight: StackedWeight,
    runs: [RowRun],
    x: UnsafePointer<Float>,
    y: UnsafeMutablePointer<Float>,
    accumulate: Bool
  ) {
    for run in runs {
      if run.isDecode {
        multiplyFew(weight, run: run, x: x, y: y, accumulate: accumulate)
      } else {
        MatrixProduct.forward(
          weight,
          rows: run.count,
          x: x + run.start * weight.columns,
          xStride: weight.columns,
          y: y + run.start * weight.rows,
          yStride: weight.rows,
          accumulate: accumulate,
          pool: pool
        )
      }
    }
    clock?.lap(.projections)
  }

  /// Logits of the last row of each sequence: y = x headᵀ.
  func multiplyHead(x: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>) {
    for run in layout.lastRuns {
      multiplyFew(model.head, run: run, x: x, y: y, accumulate: false)
    }
    clock?.lap(.head)
  }

  /// The rows of one run, few enough that packing the weight does not pay.
  func multiplyFew(
    _ weight: StackedWeight,
    run: RowRun,
    x: UnsafePointer<Float>,
    y: UnsafeMutablePointer<Float>,
    accumulate: Bool
  ) {
    let x = x + run.start * weight.columns
    let y = y + run.start * weight.rows
    if run.isDecode, let digits = decodePrecision.digits,
      let repacked = weight.repacked(pool: pool)
    {
      repacked.multiply(
        rows: run.count,
        x: x,
        xStride: weight.columns,
        digits: digits,
        y: y,
        yStride: weight.rows,
        accumulate: accumulate,
        pool: pool
      )
    } else {
      MatrixProduct.forwardFew(
        weight,
        rows: run.count,
        x: x,
        xStride: weight.columns,
        y: y,
        yStride: weight.rows,
        accumulate: accumulate,
        pool: pool
      )
    }
  }

  func multiplyBack(
    _ weight: StackedWeight,
    rows n: Int,
    dy: UnsafePointer<Float>,
    dx: UnsafeMutablePointer<Float>
  ) {
    MatrixProduct.backward(
      weight,
      rows: n,
      dy: dy,
      dyStride: weight.rows,
      dx: dx,
      dxStride: weight.columns,
      accumulate: false,
      pool: pool
    )
    clock?.lap(.projections)
  }

  /// Rotates queries and keys by their positions (sign 1), or back (sign −1).
  func rotate(_ rows: UnsafeMutablePointer<Float>, sign: Float) {
    let longest = layout.positions.reduce(0) { max($0, Int($1)) }
    let table = model.rope.rows(positions: longest + 1)
    let (heads, headSize) = (shape.heads + shape.keyValueHeads, shape.headSize)
    let (base, rowWidth) = (table.base, rowWidth)
    layout.positions.withUnsafeBufferPointer { positions in
      self.rows(positions.count) { first, count in
        for row in first..<first + count {
          let place = base + Int(positions[row]) * headSize
          reft_rope_f32(heads, headSize, place, sign, rows + row * rowWidth)
        }
      }
    }
    clock?.lap(.rotation)
  }
}
