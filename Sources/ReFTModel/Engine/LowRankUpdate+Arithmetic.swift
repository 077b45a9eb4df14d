// SPDX-License-Identifier: Apache-2.0
// An update of low rank, forward and backward. With m the mask of dropout and s the scale:
//   u = s A m(x);  y += B u
// and back from dy:
//   v = s Bᵀ dy;  dB += dy uᵀ;  dA += v m(x)ᵀ;  dx += m(Aᵀ v).
// Every number is one sum in a fixed order, so bits depend neither on threads nor on other rows.

import CReFTKernels
import ReFTTensor

extension LowRankUpdate {
  /// A matrix in panels of 16 columns, as the kernel for products reads it.
  struct Panels {
    let memory: FloatBuffer
    /// Rows of each panel.
    let run: Int

    /// The columns of a matrix [rows, columns].
    init(_ matrix: UnsafePointer<Float>, rows: Int, columns: Int) {
      run = rows
      memory = FloatBuffer(count: (columns + 15) / 16 * 16 * rows)
      for first in stride(from: 0, to: columns, by: 16) {
        let width = min(16, columns - first)
        let panel = memory.base + first * rows
        for row in 0..<rows {
          (panel + row * 16).update(from: matrix + row * columns + first, count: width)
        }
      }
    }

    /// The rows of a matrix [rows, columns], as columns.
    init(transposing matrix: UnsafePointer<Float>, rows: Int, columns: Int) {
      run = columns
      memory = FloatBuffer(count: (rows + 15) / 16 * 16 * columns)
      for first in stride(from: 0, to: rows, by: 16) {
        reft_pack_transposed_f32(
          columns,
          min(16, rows - first),
          matrix + first * columns,
          columns,
          memory.base + first * columns
        )
      }
    }

    /// y[n, width] (+)= x[n, run] times the matrix.
    func multiply(_ n: Int, _ x: RowMatrix, _ y: RowMatrix, width: Int, accumulate: Bool) {
      MatrixProduct.multiply(
        rows: n,
        columns: width,
        extent: run,
        run: run,
        x: x.base,
        xStride: x.stride,
        panels: memory.base,
        y: y.base,
        yStride: y.stride,
        accumulate: accumulate
      )
    }
  }

  func makeForwardPanels() -> (a: Panels, b: Panels) {
    let ordered = orderedB()
    return (
      Panels(transposing: a, rows: rank, columns: inputs),
      Panels(
        transposing: ordered.map { UnsafePointer($0.base) } ?? b,
        rows: outputs,
        columns: rank
      )
    )
  }

  /// B with its rows in the order of y; nil where they are.
  private func orderedB() -> FloatBuffer? {
    guard let rowOrder else { return nil }
    let rows = FloatBuffer(count: outputs * rank)
    for (place, row) in rowOrder.enumerated() {
      (rows.base + place * rank).update(from: b + Int(row) * rank, count: rank)
    }
    return rows
  }

  /// Columns of gradients that one task sums.
  private static let taskWidth = 128

  // MARK: Forward

  /// Adds the update to rows of y; with `keeps`, what the way back needs is kept.
  func add(_ rows: UpdatedRows, x: RowMatrix, y: RowMatrix, keeps: Bool, pool: ThreadPool) {
    let panels = forwardPanels
    let kept = keeps ? inner.floats(rows.count * rank) : nil
    pool.run(rows.pieces.count) { index in
      let piece = rows.pieces[index]
      let sums = kept.map { $0 + piece.place * rank }
      let u = RowMatrix(
        base: sums ?? ThreadScratch.floats(UpdatedRows.longestPiece * rank, .updateSums),
        stride: rank
      )
      let input = masked(piece, x)
      panels.a.multiply(piece.count, input, u, width: rank, accumulate: false)
      reft_scale_f32(piece.count * rank, scale, u.base)
      let out = RowMatrix(base: y.row(piece.row), stride: y.stride)
      panels.b.multiply(piece.count, u, out, width: outputs, accumulate: true)
    }
  }

  /// The rows of a piece as A reads them: those of x, or without what dropout leaves out.
  private func masked(_ piece: UpdatedRows.Piece, _ x: RowMatrix) -> RowMatrix {
    let rows = RowMatrix(base: x.row(piece.row), stride: x.stride)
    guard let dropout else { return rows }
    let memory = ThreadScratch.floats(UpdatedRows.longestPiece * inputs, .updateRows)
    for row in 0..<piece.count {
      let target = memory + row * inputs
      target.update(from: rows.row(row), count: inputs)
      dropout.mask(target, 0..<inputs, piece, row: row)
    }
    return RowMatrix(base: memory, stride: inputs)
  }

  // MARK: The way back

  /// Adds the gradients of A and B, given those of y, and x as it was on the way forward.
  func differentiate(_ rows: UpdatedRows, x: RowMatrix, dy: RowMatrix, pool: ThreadPool) {
    let ordered = orderedB()
    let panels = Panels(ordered.map { UnsafePointer($0.base) } ?? b, rows: outputs, columns: rank)
    let v = innerGradient.floats(rows.count * rank)
    pool.run(rows.pieces.count) { index in
      let piece = rows.pieces[index]
      let out = RowMatrix(base: v + piece.place * rank, stride: rank)
      let slopes = RowMatrix(base: dy.row(piece.row), stride: dy.stride)
      panels.multiply(piece.count, slopes, out, width: rank, accumulate: false)
      reft_scale_f32(piece.count * rank, scale, out.base)
    }
    guard let gradients else { return }
    addGradient(ofB: gradients.b, rows, dy: dy, pool: pool)
    addGradient(ofA: gradients.a, rows, x: x, pool: pool)
  }

  /// dB += dy uᵀ.
  private func addGradient(
    ofB gradient: UnsafeMutablePointer<Float>,
    _ rows: UpdatedRows,
    dy: RowMatrix,
    pool: ThreadPool
  ) {
    let u = inner.floats(rows.count * rank)
    pool.run((outputs + Self.taskWidth - 1) / Self.taskWidth) { task in
      let first = task * Self.taskWidth
      let width = min(Self.taskWidth, outputs - first)
      let sums = ThreadScratch.floats(rank * width, .updateSums)
      sums.update(repeating: 0, count: rank * width)
      for piece in rows.pieces {
        for row in 0..<piece.count {
          let slopes = dy.row(piece.row + row) + first
          let factors = u + (piece.place + row) * rank
          for k in 0..<rank { reft_axpy_f32(width, factors[k], slopes, sums + k * width) }
        }
      }
      for j in 0..<width {
        let target = gradient + (rowOrder.map { Int($0[first + j]) } ?? first + j) * rank
        for k in 0..<rank { target[k] += sums[k * width + j] }
      }
    }
  }

  /// dA += v m(x)ᵀ.
  private func addGradient(
    ofA gradient: UnsafeMutablePointer<Float>,
    _ rows: UpdatedRows,
    x: RowMatrix,
    pool: ThreadPool
  ) {
    let v = innerGradient.floats(rows.count * rank)
    pool.run((inputs + Self.taskWidth - 1) / Self.taskWidth) { task in
      let first = task * Self.taskWidth
      let width = min(Self.taskWidth, inputs - first)
      let own = ThreadScratch.floats(width, .updateRows)
      for piece in rows.pieces {
        for row in 0..<piece.count {
          var input = x.row(piece.row + row) + first
          if let dropout {
            own.update(from: input, count: width)
            dropout.mask(own, first..<first + width, piece, row: row)
            input = own
          }
          let factors = v + (piece.place + row) * rank
          for k in 0..<rank {
            reft_axpy_f32(width, factors[k], input, gradient + k * inputs + first)
          }
        }
      }
    }
  }

  /// dx += m(Aᵀ v), after `differentiate`.
  func addInputGradient(_ rows: UpdatedRows, to dx: RowMatrix, pool: ThreadPool) {
    let panels = Panels(a, rows: rank, columns: inputs)
    let v = innerGradient.floats(rows.count * rank)
    pool.run(rows.pieces.count) { index in
      let piece = rows.pieces[index]
      let slopes = RowMatrix(base: v + piece.place * rank, stride: rank)
      let out = RowMatrix(base: dx.row(piece.row), stride: dx.stride)
      guard let dropout else {
        panels.multiply(piece.count, slopes, out, width: inputs, accumulate: true)
        return
      }
      let own = RowMatrix(
        base: ThreadScratch.floats(UpdatedRows.longestPiece * inputs, .updateRows),
        stride: inputs
      )
      panels.multiply(piece.count, slopes, own, width: inputs, accumulate: false)
      for row in 0..<piece.count {
        dropout.mask(own.row(row), 0..<inputs, piece, row: row)
        reft_axpy_f32(inputs, 1, own.row(row), out.row(row))
      }
    }
  }
}

extension LowRankUpdate.Dropout {
  /// Multiplies some columns of a piece's row by its mask: 0, or 1 / (1 − rate).
  fileprivate func mask(
    _ values: UnsafeMutablePointer<Float>,
    _ columns: Range<Int>,
    _ piece: UpdatedRows.Piece,
    row: Int
  ) {
    let sequence = CounterRandom(key: key, step: UInt64(UInt32(bitPattern: piece.example)))
    let numbers = CounterRandom(key: sequence.bits(offset: UInt64(piece.position + row)))
    let kept = 1 / (1 - rate)
    for (place, column) in columns.enumerated() {
      values[place] *= numbers.uniform(offset: UInt64(column)) < rate ? 0 : kept
    }
  }
}
