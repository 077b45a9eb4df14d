// SPDX-License-Identifier: Apache-2.0
// Several sequences laid end to end, without padding.

/// A run of tokens of several sequences, with the tokens whose next token is a label.
public struct PackedBatch: Sendable {
  /// The part of a batch that is one sequence.
  public struct Segment: Sendable, Hashable {
    /// Index of its first token in the batch.
    public var start: Int
    /// Number of its tokens.
    public var count: Int

    /// Describes a segment.
    public init(start: Int, count: Int) {
      self.start = start
      self.count = count
    }
  }

  /// All token ids, sequence after sequence.
  public var tokens: [Int32] = []
  /// Where each sequence lies.
  public var segments: [Segment] = []
  /// Batch indices of the tokens whose output predicts a label, ascending.
  public var labelTokens: [Int32] = []
  /// The label that each of `labelTokens` must predict.
  public var labels: [Int32] = []
  /// The type of each token, for models that tell the texts of a pair apart; empty where all are 0.
  public private(set) var types: [Int32] = []

  /// An empty batch.
  public init() {}

  /// Appends one sequence.
  ///
  /// - Parameters:
  ///   - ids: its tokens, at least one.
  ///   - labels: one per token; `labels[i]` is predicted from token `i - 1`; −100 is none. The first
  ///     is never predicted.
  public mutating func append(ids: [Int32], labels: [Int32]) {
    let start = tokens.count
    append(ids: ids)
    for index in 1..<max(1, ids.count) where labels[index] >= 0 {
      labelTokens.append(Int32(start + index - 1))
      self.labels.append(labels[index])
    }
  }

  /// Appends one sequence without labels.
  ///
  /// - Parameters:
  ///   - ids: its tokens, at least one.
  ///   - types: the type of each; none where all are 0.
  public mutating func append(ids: [Int32], types: [Int32] = []) {
    if !types.isEmpty || !self.types.isEmpty {
      self.types += [Int32](repeating: 0, count: tokens.count - self.types.count)
      self.types += types.isEmpty ? [Int32](repeating: 0, count: ids.count) : types
    }
    segments.append(Segment(start: tokens.count, count: ids.count))
    tokens += ids
  }
}
