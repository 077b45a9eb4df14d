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
    making work: RowWork?,
    runs: [RowRun],
    to stream: UnsafeMutablePointer<Float>,
    into out: UnsafeMutablePointer<Float>,
    site: Component,
    _ index: Int,
    inTail: Bool
  ) throws {
    let d = shape.hiddenSize
    let n = runs.reduce(0) { $0 + $1.count }
    let copy: RowWork = { row in
      if out != stream { (out + row * d).update(from: stream + row * d, count: d) }
    }
    guard wants(site, index) else {
      var making = work
      if layout.isDecode {
        making = { row in
          work?(row)
          copy(row)
        }
      } else if out != stream {
        rows(n, copy)
      }
      multiply(weight, runs: runs, x: x, making: making, y: out, accumulate: true)
      return
    }
    let product = delta.floats(n * d)
    multiply(weight, runs: runs, x: x, making: work, y: product, accumulate: false)
    try fire(site, index, product, stride: d, inTail: inTail)
    rows(n) { row in
      copy(row)
      reft_axpy_f32(d, 1, product + row * d, out + row * d)
    }
  }

  /// y (+)= x Wᵀ for rows by how they are multiplied; `work` makes a row of x before it is read.
  func multiply(
    _ weight: StackedWeight,
    runs: [RowRun],
    x: UnsafePointer<Float>,
    making work: RowWork? = nil,
    y: UnsafeMutablePointer<Float>,
    accumulate: Bool
  ) {
    for run in runs {
      if run.isDecode {
        multiplyFew(weight, run: run, x: x, making: work, y: y, accumulate: accumulate)
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
    making work: RowWork? = nil,
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
        making: work,
        digits: digits,
        y: y,
        yStride: weight.rows,
        accumulate: accumulate,
        pool: pool
      )
    } else {
      if let work { rows(run.count, work) }
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

  /// What rotates the queries and keys of a row by its position (sign 1), or back (sign −1).
  func rotation(_ rows: UnsafeMutablePointer<Float>, sign: Float) -> RowWork {
    let positions = layout.positions
    let longest = positions.reduce(0) { max($0, Int($1)) }
    let table = model.rope.rows(positions: longest + 1)
    let (heads, headSize) = (shape.heads + shape.keyValueHeads, shape.headSize)
    let rowWidth = rowWidth
    return { row in
      // The table is the closure's own: another pass may replace the model's by a longer one.
      let place = table.base + Int(positions[row]) * headSize
      reft_rope_f32(heads, headSize, place, sign, rows + row * rowWidth)
    }
  }
}
