// SPDX-License-Identifier: Apache-2.0
// Products of a pass's rows with frozen weights, by the kind of rows: many at once are one matrix
// product, decoded tokens go to the kernels for few rows.

import CReFTKernels
import ReFTTensor

extension Pass {
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

  /// dx = dy W.
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
}
