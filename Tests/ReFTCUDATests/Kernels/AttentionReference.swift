// SPDX-License-Identifier: Apache-2.0
// Attention and its gradients in double, one query after the other.

import Foundation

/// Sequences, their heads and what their queries see.
struct AttentionProblem: Sendable, CustomStringConvertible {
  /// One sequence: how many rows it has, and how many keys a cache holds before them.
  struct Sequence: Sendable {
    var count: Int
    var cached = 0
  }

  let name: String
  var heads = 2
  var keyValueHeads = 1
  var headSize: Int
  var sequences: [Sequence]
  /// How many rows of the first sequence the others begin with.
  var prefix = 0
  var cap = 0.0
  var window = 0
  var isFull = false
  /// Numbers between a row's values and the next row.
  var padding = 0

  var description: String { name }
  var scale: Double { 1 / Double(headSize).squareRoot() }
  var rowCount: Int { sequences.reduce(0) { $0 + $1.count } }
  var stride: Int { (heads + 2 * keyValueHeads) * headSize + padding }
  var queryWidth: Int { heads * headSize }
  var keyValueWidth: Int { keyValueHeads * headSize }

  /// The first row of a sequence.
  func start(_ sequence: Int) -> Int { sequences[..<sequence].reduce(0) { $0 + $1.count } }
  /// Keys before a sequence's own.
  func past(_ sequence: Int) -> Int {
    sequence > 0 && prefix > 0 ? prefix : sequences[sequence].cached
  }
  func sees(_ position: Int, _ key: Int) -> Bool {
    isFull || key <= position && (window <= 0 || key > position - window)
  }
  /// The row of the pass that holds a key; nil for one in a cache.
  func row(_ sequence: Int, key: Int) -> Int? {
    let past = past(sequence)
    if key >= past { return start(sequence) + key - past }
    return prefix > 0 ? key : nil
  }
}

/// What the attention of a problem is, and d loss / d (queries, keys, values) for a given d loss / d out.
struct AttentionReference {
  private let problem: AttentionProblem
  private let rows: [Double]
  private let caches: [[Double]]
  private(set) var out: [Double]
  private(set) var logSumExp: [Double]
  private(set) var gradient: [Double]

  /// - Parameters:
  ///   - problem: what is computed.
  ///   - rows: [rows, stride].
  ///   - caches: for each sequence keys then values of its cached positions, [cached, 2 · keyValueWidth].
  ///   - dout: [rows, queryWidth].
  init(_ problem: AttentionProblem, rows: [Float], caches: [[Float]], dout: [Float]) {
    self.problem = problem
    self.rows = rows.map(Double.init)
    self.caches = caches.map { $0.map(Double.init) }
    out = [Double](repeating: 0, count: problem.rowCount * problem.queryWidth)
    logSumExp = [Double](repeating: 0, count: problem.rowCount * problem.heads)
    gradient = [Double](repeating: 0, count: problem.rowCount * problem.stride)
    for sequence in problem.sequences.indices {
      for head in 0..<problem.heads { attend(sequence, head, dout) }
    }
  }

  /// A key's numbers, or its values', of the head that a query head reads.
  private func vector(_ sequence: Int, key: Int, _ head: Int, isValue: Bool) -> [Double] {
    let of = head / (problem.heads / problem.keyValueHeads) * problem.headSize
    let behind = isValue ? problem.keyValueWidth : 0
    if let row = problem.row(sequence, key: key) {
      let at = row * problem.stride + problem.queryWidth + behind + of
      return Array(rows[at..<at + problem.headSize])
    }
    let at = key * 2 * problem.keyValueWidth + behind + of
    return Array(caches[sequence][at..<at + problem.headSize])
  }

  /// All queries of one sequence and head.
  private mutating func attend(_ sequence: Int, _ head: Int, _ dout: [Float]) {
    let (size, past) = (problem.headSize, problem.past(sequence))
    let total = past + problem.sequences[sequence].count
    let keys = (0..<total).map { vector(sequence, key: $0, head, isValue: false) }
    let values = (0..<total).map { vector(sequence, key: $0, head, isValue: true) }
    var keySlopes = keys.map { [Double](repeating: 0, count: $0.count) }
    var valueSlopes = keySlopes
    for index in 0..<problem.sequences[sequence].count {
      let row = problem.start(sequence) + index
      let (place, result) = (
        row * problem.stride + head * size, row * problem.queryWidth + head * size
      )
      let query = Array(rows[place..<place + size])
      let dy = dout[result..<result + size].map(Double.init)
      let seen = (0..<total).filter { problem.sees(past + index, $0) }
      let scores = seen.map { key in
        let x = dot(query, keys[key]) * problem.scale
        return problem.cap > 0 ? problem.cap * tanh(x / problem.cap) : x
      }
      let most = scores.max() ?? 0
      let sum = scores.reduce(0) { $0 + exp($1 - most) }
      logSumExp[row * problem.heads + head] = most + log(sum)
      let weights = scores.map { exp($0 - most) / sum }
      let slopes = seen.map { dot(dy, values[$0]) }
      let mean = dot(weights, slopes)
      for (at, key) in seen.enumerated() {
        let bend = problem.cap > 0 ? 1 - pow(scores[at] / problem.cap, 2) : 1
        let slope = weights[at] * (slopes[at] - mean) * problem.scale * bend
        add(weights[at], values[key], to: &out, at: result)
        add(slope, keys[key], to: &gradient, at: place)
        add(slope, query, to: &keySlopes[key], at: 0)
        add(weights[at], dy, to: &valueSlopes[key], at: 0)
      }
    }
    let of = head / (problem.heads / problem.keyValueHeads) * size + problem.queryWidth
    for key in 0..<total {
      guard let row = problem.row(sequence, key: key) else { continue }
      add(1, keySlopes[key], to: &gradient, at: row * problem.stride + of)
      add(1, valueSlopes[key], to: &gradient, at: row * problem.stride + of + problem.keyValueWidth)
    }
  }
}

private func dot(_ x: [Double], _ y: [Double]) -> Double {
  x.withUnsafeBufferPointer { x in
    y.withUnsafeBufferPointer { y in
      var (sum, j) = (0.0, 0)
      while j < x.count {
        sum += x[j] * y[j]
        j += 1
      }
      return sum
    }
  }
}

/// y += factor · x, from a place of y on.
private func add(_ factor: Double, _ x: [Double], to y: inout [Double], at place: Int) {
  x.withUnsafeBufferPointer { x in
    y.withUnsafeMutableBufferPointer { y in
      var j = 0
      while j < x.count {
        y[place + j] += factor * x[j]
        j += 1
      }
    }
  }
}
