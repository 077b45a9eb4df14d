// SPDX-License-Identifier: Apache-2.0
// Texts that show a quality and texts that show its opposite: what a steering vector is made from.
// How they are read from files is in ContrastReader.

public import ReFTTensor

/// One text of a contrast.
public struct ContrastText: Sendable, Equatable {
  /// What stands before the text and is no part of the contrast; nil where there is nothing.
  public var prompt: String?
  /// The text; what follows the prompt where there is one.
  public var text: String
  /// Where it stands, as messages name it: `file:line`.
  public var place: String

  /// Makes a text.
  public init(prompt: String? = nil, text: String, place: String) {
    (self.prompt, self.text, self.place) = (prompt, text, place)
  }
}

/// Texts of two classes, in pairs or not.
public struct ContrastSet: Sendable, Equatable {
  /// Texts that show the quality.
  public var positives: [ContrastText]
  /// Texts that show its opposite.
  public var negatives: [ContrastText]
  /// Whether `positives[i]` and `negatives[i]` differ in the quality alone.
  public let isPaired: Bool

  /// Joins two classes.
  ///
  /// - Precondition: classes in pairs have the same number of texts.
  public init(positives: [ContrastText], negatives: [ContrastText], isPaired: Bool) {
    precondition(!isPaired || positives.count == negatives.count)
    self.positives = positives
    self.negatives = negatives
    self.isPaired = isPaired
  }

  /// How many texts there are.
  public var count: Int { positives.count + negatives.count }

  /// Whether every pair is two ways to go on from one prompt.
  public var hasCompletions: Bool {
    isPaired && !positives.isEmpty && positives.allSatisfy { $0.prompt != nil }
      && negatives.allSatisfy { $0.prompt != nil }
  }

  /// The first pairs, or the first texts of each class.
  public func first(_ limit: Int) -> ContrastSet {
    ContrastSet(
      positives: Array(positives.prefix(limit)),
      negatives: Array(negatives.prefix(limit)),
      isPaired: isPaired
    )
  }

  /// Keeps a part for tests; pairs stay together.
  ///
  /// - Parameters:
  ///   - part: the part that is held out, from 0 to below 1; where it is above 0, at least one text
  ///     of each class.
  ///   - seed: decides which.
  /// - Returns: what directions are found from, and what they are tried on.
  /// - Throws: `usage` where nothing is left of one of the two.
  public func split(
    heldOut part: Double,
    seed: UInt64
  ) throws(ReFTError) -> (training: ContrastSet, heldOut: ContrastSet) {
    let (positive, otherPositives) = try Self.split(positives, part, seed: seed, step: 0)
    // Pairs are drawn alike.
    let (negative, otherNegatives) = try Self.split(
      negatives,
      part,
      seed: seed,
      step: isPaired ? 0 : 1
    )
    return (
      ContrastSet(positives: otherPositives, negatives: otherNegatives, isPaired: isPaired),
      ContrastSet(positives: positive, negatives: negative, isPaired: isPaired)
    )
  }

  private static func split(
    _ texts: [ContrastText],
    _ part: Double,
    seed: UInt64,
    step: UInt64
  ) throws(ReFTError) -> (heldOut: [ContrastText], others: [ContrastText]) {
    let count = part == 0 ? 0 : max(1, Int((Double(texts.count) * part).rounded()))
    guard count < texts.count else { throw .nothingLeft(texts: texts.count, heldOut: count) }
    let order = CounterRandom(key: seed, step: step).permutation(of: texts.count)
    let chosen = Set(order.prefix(count))
    return (
      texts.indices.filter(chosen.contains).map { texts[$0] },
      texts.indices.filter { !chosen.contains($0) }.map { texts[$0] }
    )
  }
}
