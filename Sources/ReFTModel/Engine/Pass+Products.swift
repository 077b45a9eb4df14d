// SPDX-License-Identifier: Apache-2.0
// Products of a pass's rows with frozen weights, by the kind of rows: many at once are one matrix
// product, decoded tokens go to the kernels for few rows.

import CReFTKernels
import ReFTTensor

extension Pass {
  /// y (+)= x Wᵀ for rows by how they are multiplied; `work` makes a row of x before it is read.
  ///
  /// - Precondition: there is no such work, or `makesRows` of the weight.
  func multiply(
    _ weight: StackedWeight,
    runs: [RowRun],
    x: UnsafePointer<Float>,
    making work: RowWork? = nil,
    y: UnsafeMutablePointer<Float>,
    accumulate: Bool
  ) {
    for run in runs {
      let own = run.start == 0 ? work : work.map { work in { row in work(run.start + row) } }
      if run.isDecode {
        multiplyFew(weight, run: run, x: x, making: own, y: y, accumulate: accumulate)
      } else {
        multiplyMany(weight, run: run, x: x, making: own, y: y, accumulate: accumulate)
      }
    }
    clock?.lap(.projections)
  }

  /// Whether the product with a weight does what is left to be done to its rows as it reads them.
  func makesRows(_ weight: StackedWeight, inTail: Bool) -> Bool {
    runs(inTail: inTail).allSatisfy { $0.isDecode || rounding(of: weight) != nil }
  }

  /// How the many rows of a prompt are rounded for a weight.
  private enum Rounding {
    case repacked(RepackedWeight, digits: Int)
    case plain
  }

  /// How they are where that is faster, as decoded rows are.
  ///
  /// Losses and gradients never are (docs/decisions/0017).
  private func rounding(of weight: StackedWeight) -> Rounding? {
    guard layout.fillsCaches, let digits = decodePrecision.digits else { return nil }
    if let repacked = weight.repacked(pool: pool), repacked.servesPrompts {
      return .repacked(repacked, digits: digits)
    }
    return MatrixProduct.fitsRounded(weight) ? .plain : nil
  }

  /// The rows of a prompt or of a batch for training.
  private func multiplyMany(
    _ weight: StackedWeight,
    run: RowRun,
    x: UnsafePointer<Float>,
    making work: RowWork?,
    y: UnsafeMutablePointer<Float>,
    accumulate: Bool
  ) {
    let x = x + run.start * weight.columns
    let y = y + run.start * weight.rows
    switch rounding(of: weight) {
    case .repacked(let repacked, let digits):
      repacked.multiplyMany(
        rows: run.count,
        x: x,
        making: work,
        digits: digits,
        y: y,
        accumulate: accumulate,
        pool: pool
      )
    case .plain:
      MatrixProduct.forwardRounded(
        weight,
        rows: run.count,
        x: x,
        making: work,
        y: y,
        accumulate: accumulate,
        pool: pool
      )
    case nil:
      precondition(work == nil, "rows of panels are made before")
      multiplyPanels(weight, rows: run.count, x: x, y: y, accumulate: accumulate)
    }
  }

  /// Those that meet panels of the weight in float32, or on matrix tiles.
  private func multiplyPanels(
    _ weight: StackedWeight,
    rows n: Int,
    x: UnsafePointer<Float>,
    y: UnsafeMutablePointer<Float>,
    accumulate: Bool
  ) {
    let panels = weight.panels(repacks: willDecode, pool: pool)
    if splits(weight) {
      SplitProduct.forward(
        panels,
        rows: n,
        x: x,
        halves: promptHalves,
        y: y,
        accumulate: accumulate,
        pool: pool
      )
    } else {
      MatrixProduct.forward(
        panels,
        rows: n,
        x: x,
        y: y,
        accumulate: accumulate,
        pool: pool
      )
    }
  }

  /// How much of prompts' rows and of weights counts on matrix tiles.
  ///
  /// Their high parts where decoded rows are rounded to one digit, which is coarser still. Losses and
  /// gradients never are rounded.
  private var promptHalves: SplitProduct.Halves {
    layout.fillsCaches && decodePrecision.activations == .int8 ? .high : .both
  }

  /// Whether `multiplyGated` takes a weight for rows by how they are multiplied.
  func gates(_ weight: StackedWeight, runs: [RowRun]) -> Bool {
    splits(weight) && SplitProduct.fitsGated(rows: weight.rows, columns: weight.columns)
      && !runs.contains(where: \.isDecode)
  }

  /// hidden = gate(x Gᵀ, x Uᵀ) for a weight of gates above ups.
  func multiplyGated(
    _ weight: StackedWeight,
    runs: [RowRun],
    x: UnsafePointer<Float>,
    gate: GateKernels.Gated,
    hidden: UnsafeMutablePointer<Float>
  ) {
    let panels = weight.panels(repacks: willDecode, pool: pool)
    for run in runs {
      SplitProduct.gated(
        panels,
        rows: run.count,
        x: x + run.start * weight.columns,
        halves: promptHalves,
        gate: gate,
        hidden: hidden + run.start * weight.rows / 2,
        pool: pool
      )
    }
    clock?.lap(.projections)
  }

  /// Whether tokens will be decoded after these: then weights are repacked in any case.
  private var willDecode: Bool { decodePrecision.digits != nil && layout.fillsCaches }

  /// Whether the products of attention go there, too: those of prompts, never those of a loss, whose way
  /// back would compute other scores than the logarithms that the way forward kept.
  var splitsAttention: Bool { layout.fillsCaches && !decodePrecision.isExact }

  /// Whether products with a weight go to matrix tiles, on numbers that are split in two.
  private func splits(_ weight: StackedWeight) -> Bool {
    !decodePrecision.isExact && SplitProduct.fits(rows: weight.rows, columns: weight.columns)
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
        making: work,
        digits: digits,
        y: y,
        accumulate: accumulate,
        pool: pool
      )
    } else {
      MatrixProduct.forwardFew(
        weight,
        rows: run.count,
        x: x,
        making: work,
        y: y,
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
    let panels = weight.panels(repacks: false, pool: pool)
    let product = splits(weight) ? SplitProduct.backward : MatrixProduct.backward
    product(panels, n, dy, dx, pool)
    clock?.lap(.projections)
  }
}
