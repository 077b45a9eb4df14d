// SPDX-License-Identifier: Apache-2.0
// The kinds of parts that a position rule is made of, and their text forms.

extension PositionRule {
  /// The tokens of the prompt that one part of a rule selects.
  public enum Selection: Sendable, Hashable, CustomStringConvertible {
    /// Every token of the prompt.
    case all
    /// The first and the last tokens; 0 leaves an end out.
    case ends(first: Int, last: Int)
    /// Every n-th token, from the first.
    case every(Int)
    /// The tokens with these indices; negative ones count from the end of the prompt.
    case indices([Int])
    /// What the prompt has of a run of tokens, as Python slices: negative bounds count from its end.
    case range(lower: Int?, upper: Int?)
    /// The tokens that begin at or after the end of the first occurrence of a text.
    case after(String)
    /// Every token that is one of these.
    case tokens([TokenName])
    /// So many tokens, drawn anew for each prompt; the same prompt and seed give the same ones.
    case random(count: Int, seed: UInt64)

    /// The canonical text.
    public var description: String {
      switch self {
      case .all: "all"
      case .every(let stride): "every:\(stride)"
      case .indices(let indices): "[" + indices.map(String.init).joined(separator: ",") + "]"
      case .range(let lower, let upper):
        "[\(lower.map(String.init) ?? ""):\(upper.map(String.init) ?? "")]"
      case .after(let text): "after:" + PositionText.quoted(text)
      case .tokens(let names): "tokens:" + names.map(\.description).joined(separator: "|")
      case .random(let count, 0): "random:\(count)"
      case .random(let count, let seed): "random:\(count)@\(seed)"
      case .ends(let first, 0): "f\(first)"
      case .ends(0, let last): "l\(last)"
      case .ends(let first, let last): "f\(first)+l\(last)"
      }
    }

    /// The ends of the prompt that its tokens belong to.
    var groups: [PositionGroup] {
      guard case .ends(let first, let last) = self else { return [.all] }
      return (first > 0 ? [.prefix] : []) + (last > 0 ? [.suffix] : [])
    }

    /// How many tokens it names; nil where it depends on the prompt which ones are meant.
    var locationCount: Int? {
      switch self {
      case .all, .every, .after, .tokens, .random: nil
      case .ends(let first, let last): first + last
      case .indices(let indices): indices.count
      case .range(let lower, let upper):
        switch (lower ?? 0, upper) {
        case (let lower, nil): lower < 0 ? -lower : nil
        case (let lower, let upper?): (lower < 0) == (upper < 0) ? upper - lower : nil
        }
      }
    }
  }

  /// How a rule names a token.
  public enum TokenName: Sendable, Hashable, CustomStringConvertible {
    /// By its text, spaces and all.
    case text(String)
    /// By its number in the vocabulary.
    case id(Int32)

    /// The canonical text.
    public var description: String {
      switch self {
      case .text(let text): PositionText.quoted(text)
      case .id(let id): String(id)
      }
    }
  }
}
