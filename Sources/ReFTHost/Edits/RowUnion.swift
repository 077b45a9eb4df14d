// SPDX-License-Identifier: Apache-2.0
// The tokens of several edits together, and the rows of each among them.

import ReFTModel
import ReFTTensor

/// All tokens that some edits change, each once, in the order of the batch.
struct RowUnion {
  /// One token of the batch.
  private struct Cell: Hashable, Comparable {
    var sequence: Int
    var position: Int32
    var token: Int32

    static func < (one: Cell, other: Cell) -> Bool {
      (one.sequence, one.position) < (other.sequence, other.position)
    }
  }

  let tokens: [Int32]
  private let indices: [Int32: Int]
  /// Where each token is found among the rows, whose positions move on as tokens are decoded.
  private let origins: [(set: RowSet, index: Int)]

  init(_ sets: [RowSet]) {
    var cells: [Cell: (set: RowSet, index: Int)] = [:]
    for set in sets {
      for index in 0..<set.count {
        let cell = Cell(
          sequence: set.sequences[index],
          position: set.positions[index],
          token: set.tokens[index]
        )
        cells[cell] = (set, index)
      }
    }
    let sorted = cells.sorted { $0.key < $1.key }
    tokens = sorted.map(\.key.token)
    origins = sorted.map(\.value)
    indices = Dictionary(uniqueKeysWithValues: tokens.enumerated().map { ($1, $0) })
  }

  /// The sequence and the position of one of the tokens.
  func origin(of token: Int) -> (sequence: Int, position: Int) {
    let (set, index) = origins[token]
    return (set.sequences[index], Int(set.positions[index]))
  }

  /// For each token of the union, which one of an edit's it is; −1 where it is none.
  func places(of tokens: [Int32]) -> [Int32] {
    var result = [Int32](repeating: -1, count: self.tokens.count)
    for (place, token) in tokens.enumerated() {
      if let index = indices[token] { result[index] = Int32(place) }
    }
    return result
  }
}

/// An edit, and where its tokens are among those of a union.
struct EditPlacement {
  let edit: any RowEdit
  /// For each token of the union, which one of the edit's it is; −1 where it is none.
  let indices: [Int32]

  init(_ edit: any RowEdit, in union: RowUnion) {
    self.edit = edit
    indices = union.places(of: edit.tokens)
  }
}

/// Memory that grows to the largest size asked for.
struct FloatRoom {
  private var buffer = FloatBuffer(count: 0)

  mutating func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
    if buffer.count < count { buffer = FloatBuffer(count: count) }
    return buffer.base
  }
}

/// Gathers the rows of one edit out of the rows of a union, and puts them back.
final class SubsetExchange {
  private let site: Site
  private let strength = EditStrength()
  private var rows = FloatRoom()
  private var sources = FloatRoom()
  private var slopes = FloatRoom()

  init(_ site: Site) { self.site = site }

  func edit(_ placement: EditPlacement, _ whole: GatheredRows) throws {
    try exchange(placement, whole) { try strength.edit($0, by: placement.edit) }
  }

  /// Adds what the edit says of the gradient of its source to that of the union's rows.
  func differentiate(_ placement: EditPlacement, _ whole: GatheredRows) throws {
    try exchange(placement, whole) { try strength.differentiate($0, by: placement.edit) }
  }

  private func exchange(
    _ placement: EditPlacement,
    _ whole: GatheredRows,
    _ work: (GatheredRows) throws -> Void
  ) throws {
    let columns = placement.edit.columns ?? 0..<whole.width
    guard columns.lowerBound >= 0, columns.upperBound <= whole.width else {
      throw ReFTError.columnsOutsideRows(columns, width: whole.width, site)
    }
    let present = (0..<whole.count).filter { placement.indices[Int(whole.places[$0])] >= 0 }
    guard !present.isEmpty else { return }
    let places = present.map { placement.indices[Int(whole.places[$0])] }
    let width = columns.count
    let own = rows.floats(present.count * width + GatheredRows.roomBehind)
    for (index, row) in present.enumerated() {
      let from = whole.rows + row * whole.width + columns.lowerBound
      (own + index * width).update(from: from, count: width)
    }
    let given = sourceGradient(of: placement.edit, rows: present.count, whole)
    try places.withUnsafeBufferPointer { places in
      try work(
        GatheredRows(
          places: places,
          width: width,
          rows: own,
          source: placement.edit.needsSource ? source(of: present, whole) : nil,
          sourceWidth: whole.sourceWidth,
          sourceGradient: given
        )
      )
    }
    if let given { add(given, of: present, to: whole) }
    for (index, row) in present.enumerated() {
      let to = whole.rows + row * whole.width + columns.lowerBound
      to.update(from: own + index * width, count: width)
    }
  }

  private func source(of present: [Int], _ whole: GatheredRows) -> UnsafePointer<Float>? {
    guard let source = whole.source else { return nil }
    let own = sources.floats(present.count * whole.sourceWidth)
    for (index, row) in present.enumerated() {
      (own + index * whole.sourceWidth).update(
        from: source + row * whole.sourceWidth,
        count: whole.sourceWidth
      )
    }
    return UnsafePointer(own)
  }

  /// Where an edit writes the gradient of its source; nil where it writes none, or nobody asks.
  private func sourceGradient(
    of edit: any RowEdit,
    rows count: Int,
    _ whole: GatheredRows
  ) -> UnsafeMutablePointer<Float>? {
    guard whole.sourceGradient != nil, edit.givesSourceGradient else { return nil }
    return slopes.floats(count * whole.sourceWidth + GatheredRows.roomBehind)
  }

  private func add(
    _ given: UnsafePointer<Float>,
    of present: [Int],
    to whole: GatheredRows
  ) {
    guard let sum = whole.sourceGradient else { return }
    let width = whole.sourceWidth
    for (index, row) in present.enumerated() {
      for place in 0..<width { sum[row * width + place] += given[index * width + place] }
    }
  }
}

extension GatheredRows {
  /// Begins a sum of several edits' gradients of their source.
  func clearSourceGradient() {
    sourceGradient?.update(repeating: 0, count: count * sourceWidth)
  }
}
