// SPDX-License-Identifier: Apache-2.0
// One row as the model sees it.

import ReFTText

/// The tokens of one row, with what is to be learnt of them.
public struct Example: Sendable, Equatable {
  /// The label of a token that is not to be learnt.
  public static let noLabel: Int32 = -100

  /// The tokens, at least one.
  public var ids: [Int32]
  /// One per token: what token i must be, predicted from the tokens before it; −100 is none.
  public var labels: [Int32]
  /// How many tokens from the first count as prompt: position rules speak of these.
  public var promptLength: Int

  /// Describes a row.
  ///
  /// - Precondition: as many labels as ids.
  public init(ids: [Int32], labels: [Int32], promptLength: Int) {
    precondition(ids.count == labels.count)
    self.ids = ids
    self.labels = labels
    self.promptLength = promptLength
  }

  init(_ text: EncodedText) {
    self.init(ids: text.ids, labels: text.labels, promptLength: text.promptLength)
  }

  /// The number of tokens to learn; the first token is never predicted.
  public var labelCount: Int { labels.dropFirst().count { $0 >= 0 } }

  /// The first tokens, when there are more than a number of them.
  mutating func cut(to count: Int) {
    guard ids.count > count else { return }
    ids.removeSubrange(count...)
    labels.removeSubrange(count...)
    promptLength = min(promptLength, count)
  }
}
