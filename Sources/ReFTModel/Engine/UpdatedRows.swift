// SPDX-License-Identifier: Apache-2.0
// Which rows of a pass updates of low rank work on, in pieces that threads share out.

import ReFTTensor

/// Rows of a tensor in memory.
struct RowMatrix {
  /// The first number of row 0.
  let base: UnsafeMutablePointer<Float>
  /// Numbers from one row to the next.
  let stride: Int

  /// Where a row begins.
  func row(_ index: Int) -> UnsafeMutablePointer<Float> { base + index * stride }

  /// The same rows from a column on.
  func from(column: Int) -> RowMatrix { RowMatrix(base: base + column, stride: stride) }
}

/// The rows of some tokens that a pass computes, in the order of the batch.
struct UpdatedRows {
  /// Neighbouring rows of one sequence.
  struct Piece {
    /// The first row.
    var row: Int
    /// How many.
    var count: Int
    /// How many rows the pieces before have.
    var place: Int
    /// The position of the first row in its sequence.
    var position: Int
    /// Names the sequence for dropout.
    var example: Int32
  }

  /// The most rows of a piece; what is computed of a row does not depend on it.
  static let longestPiece = 32

  private(set) var pieces: [Piece] = []
  private(set) var count = 0

  /// Finds the rows of tokens.
  ///
  /// - Parameters:
  ///   - tokens: the tokens.
  ///   - map: for each token of the batch its row, −1 where it has none; nil: row = token.
  init(_ tokens: UpdatedTokens, rowOfToken map: [Int32]?) {
    for run in tokens.runs {
      var isOpen = false
      for (offset, token) in run.tokens.enumerated() {
        let row = map.map { Int($0[token]) } ?? token
        guard row >= 0 else {
          isOpen = false
          continue
        }
        let last = pieces.count - 1
        if isOpen, pieces[last].count < Self.longestPiece,
          row == pieces[last].row + pieces[last].count
        {
          pieces[last].count += 1
        } else {
          let position = run.position + offset
          pieces.append(
            Piece(row: row, count: 1, place: count, position: position, example: run.example)
          )
          isOpen = true
        }
        count += 1
      }
    }
  }
}
