// SPDX-License-Identifier: Apache-2.0
// Which part of which prompt a step reads.

/// Cuts prompts into pieces that a step has time for.
///
/// Where a prompt is cut changes none of its bits: a row reads all keys from the cache, in runs at
/// fixed places.
package enum PromptPieces {
  /// Tokens that a step reads while other texts are being written, which wait for it.
  ///
  /// Twelve blocks of query rows, and enough that expanding the weights is a small part.
  package static let besideOthers = 576
  /// Tokens that a step reads when nobody waits: it bounds the memory of a step.
  package static let alone = 4096
  /// A piece that does not end its prompt has at least so many tokens, a block of query rows.
  ///
  /// One token alone would be taken for a generated one.
  package static let least = 48

  /// A prompt as far as it matters here.
  package struct Prompt {
    /// How many of its tokens have not been read.
    package var unread: Int
    /// Whether it is read at once, however long it is.
    package var isWhole: Bool

    /// Describes a prompt.
    package init(unread: Int, isWhole: Bool) { (self.unread, self.isWhole) = (unread, isWhole) }
  }

  /// How many tokens of each prompt are read next: the first ones first, at most `budget` together
  /// unless the first is read whole.
  package static func counts(_ prompts: [Prompt], budget: Int) -> [Int] {
    var left = max(least, budget)
    var counts: [Int] = []
    for prompt in prompts {
      let count = count(prompt, left: left, isFirst: counts.isEmpty)
      guard count > 0 else { break }
      counts.append(count)
      left -= count
    }
    return counts
  }

  private static func count(_ prompt: Prompt, left: Int, isFirst: Bool) -> Int {
    if prompt.unread <= left || prompt.isWhole && isFirst { return prompt.unread }
    guard !prompt.isWhole, left >= least else { return 0 }
    // What stays is no single token either.
    return prompt.unread - left == 1 ? left - 1 : left
  }
}
