// SPDX-License-Identifier: Apache-2.0
// What a model is asked, and what became of it as tokens.

/// What a model reads before it writes.
public enum Prompt: Sendable, Equatable {
  /// Text as it is; the texts of special tokens stand for these tokens.
  case text(String)
  /// An instruction and what it is about, which may be empty; the template words it.
  case instruction(String, input: String)
  /// A conversation, written out by the model's chat template, up to the beginning of a reply.
  case chat([ChatMessage])
  /// Token ids, taken as they are.
  case ids([Int32])
}

/// A text as tokens, with what is to be learnt of them.
public struct EncodedText: Sendable, Equatable {
  /// The label of a token that is not to be learnt.
  public static let noLabel: Int32 = -100

  /// The tokens.
  public var ids: [Int32]
  /// One per token: what token i must be, predicted from the tokens before it; −100 is none.
  public var labels: [Int32]
  /// How many tokens from the first count as prompt: position rules speak of these.
  public var promptLength: Int
}
