// SPDX-License-Identifier: Apache-2.0
// One row as the model sees it.

import ReFTText

/// The tokens of one row, with what is to be learnt of them: further tokens, or the answer of a head.
public struct Example: Sendable, Equatable {
  /// The label of a token that is not to be learnt.
  public static let noLabel: Int32 = -100

  /// The tokens, at least one.
  public var ids: [Int32]
  /// One per token: what token i must be, predicted from the tokens before it; −100 is none.
  ///
  /// Empty where no tokens are learnt.
  public var labels: [Int32]
  /// The type of each token, as encoders count the texts of a pair; empty where all are 0.
  public var types: [Int32] = []
  /// The tokens of its source prompt, whose rows some plugins take; nil: it has none.
  public var sourceIds: [Int32]?
  /// Which subspace plugins that know several edit it in; nil: all of them.
  public var subspace: Int32?
  /// Whether tokens were left out already to keep a limit.
  var isCut = false
  /// What a head must answer; nil where there is none, or nothing is known of it.
  public var target: Target?
  /// How many tokens from the first count as prompt: position rules speak of these.
  public var promptLength: Int
  /// The answer that was not preferred, after the same prompt; nil where there is none.
  public var rejected: Answer?

  /// Tokens and labels of another answer to a prompt, the prompt's own included.
  public struct Answer: Sendable, Equatable {
    /// The tokens.
    public var ids: [Int32]
    /// One per token, as those of the row.
    public var labels: [Int32]

    /// Describes an answer.
    ///
    /// - Precondition: as many labels as ids.
    public init(ids: [Int32], labels: [Int32]) {
      precondition(ids.count == labels.count)
      (self.ids, self.labels) = (ids, labels)
    }
  }

  /// Describes a row.
  ///
  /// - Precondition: as many labels as ids.
  public init(ids: [Int32], labels: [Int32], promptLength: Int) {
    precondition(ids.count == labels.count)
    self.ids = ids
    self.labels = labels
    self.promptLength = promptLength
  }

  /// Describes a text for a head, of which all tokens count as prompt.
  public init(ids: [Int32], target: Target?) {
    self.ids = ids
    labels = []
    promptLength = ids.count
    self.target = target
  }

  init(_ text: EncodedText) {
    self.init(ids: text.ids, labels: text.labels, promptLength: text.promptLength)
  }

  /// How much there is to learn: one target or pair, or so many tokens, of which the first is never
  /// predicted.
  public var labelCount: Int {
    func count(_ labels: [Int32]) -> Int { labels.dropFirst().count { $0 >= 0 } }
    if let rejected { return min(1, count(labels), count(rejected.labels)) }
    return target == nil ? count(labels) : 1
  }

  /// How many tokens the model reads of it.
  public var tokenCount: Int { ids.count + (rejected?.ids.count ?? 0) }

  /// How many tokens its longest sequence has.
  var longestCount: Int { max(ids.count, rejected?.ids.count ?? 0) }

  /// The first tokens, when there are more than a number of them.
  mutating func cut(to count: Int) {
    if let other = rejected {
      rejected = Answer(
        ids: Array(other.ids.prefix(count)),
        labels: Array(other.labels.prefix(count))
      )
    }
    guard ids.count > count else { return }
    ids.removeSubrange(count...)
    if !types.isEmpty { types.removeSubrange(count...) }
    if !labels.isEmpty { labels.removeSubrange(count...) }
    promptLength = min(promptLength, count)
  }
}
