// SPDX-License-Identifier: Apache-2.0
// Which rows a pass computes, and which keys each of them attends to.

import ReFTTensor

/// Where the keys and values of a sequence lie.
package enum KeySource {
  /// In the pass's own rows: those of a shared prefix, if any, then the sequence's own.
  case rows(prefixCount: Int)
  /// In a cache that already holds `past` tokens; the pass appends its own.
  case cache(KVCache, past: Int)
}

/// The rows of one sequence in a pass.
package struct RowSpan {
  /// The first row.
  package var start: Int
  /// How many rows.
  package var count: Int
  /// The position of the first row in its sequence.
  package var position: Int
  /// Where its keys lie.
  package var keys: KeySource

  /// Whether it is one token after others that a cache holds.
  package var isDecodedToken: Bool {
    guard case .cache = keys else { return false }
    return count == 1 && position > 0
  }

  /// How many keys precede the first row's own.
  package var past: Int { position }
}

/// Neighbouring rows that products treat alike.
package struct RowRun {
  /// The first row.
  package var start: Int
  /// How many rows.
  package var count: Int
  /// Whether they are decoded tokens, one of its sequence each, rather than parts of a prompt.
  package var isDecode: Bool

  /// Joins a run to the end of a list.
  package static func append(_ count: Int, isDecode: Bool, to runs: inout [RowRun]) {
    if let last = runs.last, last.isDecode == isDecode {
      runs[runs.count - 1].count += count
    } else {
      let start = runs.last.map { $0.start + $0.count } ?? 0
      runs.append(RowRun(start: start, count: count, isDecode: isDecode))
    }
  }
}

/// The rows of a pass; tokens that several sequences share are computed once.
package struct PassLayout {
  /// The token id of each row.
  package var ids: [Int32] = []
  /// The type of each row's token; empty where all are of type 0.
  package var types: [Int32] = []
  /// The position of each row in its sequence.
  package var positions: [Int32] = []
  /// The sequences; a shared prefix comes first, as a span of its own.
  package var spans: [RowSpan] = []
  /// For each token of the batch its row, −1 for copies of a shared prefix; nil: row = token.
  package var rowOfToken: [Int32]?
  /// How many rows the shared prefix has.
  package var prefixCount = 0
  /// The rows by how they are multiplied.
  ///
  /// What a row is depends on its own sequence alone, so its bits do too.
  package var runs: [RowRun] = []
  /// The same for the last row of each sequence.
  package var lastRuns: [RowRun] = []

  package var rowCount: Int { ids.count }
  /// The largest position of a row.
  package private(set) var longestPosition = 0
  /// Whether all rows are decoded tokens, one of its sequence each.
  package var isDecode: Bool { runs.count == 1 && runs[0].isDecode }

  /// Whether the rows go into caches, from which tokens will be decoded.
  var fillsCaches: Bool {
    if case .cache = spans.first?.keys { true } else { false }
  }

  /// Lays out a batch for training; the first `sharedPrefix` tokens of all sequences are the same.
  package init(_ batch: PackedBatch, sharedPrefix: Int) {
    prefixCount = sharedPrefix
    var map = [Int32](repeating: -1, count: batch.tokens.count)
    if sharedPrefix > 0, let first = batch.segments.first {
      append(batch.tokens[first.start..<first.start + sharedPrefix], position: 0)
      spans.append(
        RowSpan(start: 0, count: sharedPrefix, position: 0, keys: .rows(prefixCount: 0))
      )
      for token in 0..<sharedPrefix { map[first.start + token] = Int32(token) }
    }
    for segment in batch.segments {
      let count = segment.count - sharedPrefix
      let start = rowCount
      let firstToken = segment.start + sharedPrefix
      append(batch.tokens[firstToken..<segment.start + segment.count], position: sharedPrefix)
      spans.append(
        RowSpan(
          start: start,
          count: count,
          position: sharedPrefix,
          keys: .rows(prefixCount: sharedPrefix)
        )
      )
      for offset in 0..<count { map[firstToken + offset] = Int32(start + offset) }
    }
    if sharedPrefix > 0 { rowOfToken = map }
    if !batch.types.isEmpty {
      types = [Int32](repeating: 0, count: rowCount)
      for (token, row) in map.enumerated() where row >= 0 { types[Int(row)] = batch.types[token] }
    }
    runs = [RowRun(start: 0, count: rowCount, isDecode: false)]
  }

  /// Lays out the next tokens of sequences that have caches.
  init(_ sequences: [(cache: KVCache, tokens: [Int32])]) {
    for (cache, tokens) in sequences {
      spans.append(
        RowSpan(
          start: rowCount,
          count: tokens.count,
          position: cache.count,
          keys: .cache(cache, past: cache.count)
        )
      )
      append(tokens[...], position: cache.count)
      let isDecode = spans[spans.count - 1].isDecodedToken
      RowRun.append(tokens.count, isDecode: isDecode, to: &runs)
      RowRun.append(1, isDecode: isDecode, to: &lastRuns)
    }
  }

  /// Lays out the next tokens of sequences whose keys lie wherever the device has them.
  package init(steps: [SequenceStep]) {
    for step in steps {
      spans.append(
        RowSpan(
          start: rowCount,
          count: step.tokens.count,
          position: step.cache.count,
          keys: .rows(prefixCount: 0)
        )
      )
      append(step.tokens[...], position: step.cache.count)
    }
  }

  private mutating func append(_ tokens: ArraySlice<Int32>, position: Int) {
    ids += tokens
    longestPosition = max(longestPosition, position + tokens.count - 1)
    positions += (0..<tokens.count).map { Int32(position + $0) }
  }

  /// How the rows of a tail are multiplied: in inference the tail is the last row of each sequence.
  package func tailRuns(_ tail: TailRows?) -> [RowRun] {
    lastRuns.isEmpty
      ? [RowRun(start: 0, count: tail?.rows.count ?? 0, isDecode: false)] : lastRuns
  }

  /// The last row of each sequence.
  package var lastRows: [Int32] { spans.map { Int32($0.start + $0.count - 1) } }

  /// The row of a token of the batch.
  package func row(ofToken token: Int32) -> Int32 { rowOfToken?[Int(token)] ?? token }
}

/// The rows that the end of the last block still computes.
package struct TailRows {
  /// Their rows in the pass, in order.
  package let rows: [Int32]
  /// For each token of the batch its place in `rows`, −1 where it is not among them.
  package let placeOfToken: [Int32]

  init(rows: [Int32], layout: PassLayout, tokenCount: Int) {
    self.rows = rows
    var placeOfRow = [Int32](repeating: -1, count: layout.rowCount)
    for (place, row) in rows.enumerated() { placeOfRow[Int(row)] = Int32(place) }
    placeOfToken = (0..<tokenCount).map { token in
      let row = layout.row(ofToken: Int32(token))
      return row < 0 ? -1 : placeOfRow[Int(row)]
    }
  }
}
