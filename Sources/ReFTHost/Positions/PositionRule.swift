// SPDX-License-Identifier: Apache-2.0
// Which tokens of a sequence an intervention edits. The text forms are a contract: docs/configuration.

public import ReFTTensor

/// Which end of the prompt a position belongs to, where both ends have parameters of their own.
public enum PositionGroup: String, Sendable, Codable, CaseIterable {
  /// Neither end.
  case all
  /// The first tokens: the `f` of a rule.
  case prefix
  /// The last tokens: the `l` of a rule.
  case suffix
}

/// One token of a sequence that an intervention edits.
public struct EditedPosition: Sendable, Hashable {
  /// Index of the token in its sequence.
  public var position: Int
  /// The end of the prompt that it belongs to.
  public var group: PositionGroup
  /// Index of the location in the rule: f1, f2, … and then …, l2, l1; the same for every prompt.
  public var location: Int

  /// Names a position.
  public init(position: Int, group: PositionGroup, location: Int) {
    self.position = position
    self.group = group
    self.location = location
  }
}

/// Which tokens an intervention edits, such as `f7+l7`, `all` or `after:"### Input:"`.
///
/// Each of `f` and `l` is clipped to half of the prompt, rounded down, as pyreft does: a prompt of
/// five tokens under `f3+l3` has its tokens 0, 1, 3 and 4 edited.
public struct PositionRule: Sendable, Hashable, CustomStringConvertible {
  /// The tokens of the prompt that a rule selects.
  public enum Selection: Sendable, Hashable {
    /// No token of the prompt.
    case none
    /// Every token of the prompt.
    case all
    /// The first and the last tokens; 0 leaves an end out.
    case ends(first: Int, last: Int)
    /// Every n-th token, from the first.
    case every(Int)
    /// The tokens with these indices; negative ones count from the end of the prompt.
    case indices([Int])
    /// The tokens that begin at or after the end of the first occurrence of a text.
    case after(String)
  }

  /// The tokens of the prompt that are edited.
  public let selection: Selection
  /// Whether generated tokens are edited too: the `+decode` of a rule.
  public let editsDecodedTokens: Bool

  /// Makes a rule of its parts.
  public init(_ selection: Selection, editsDecodedTokens: Bool = false) {
    self.selection = selection
    self.editsDecodedTokens = editsDecodedTokens
  }

  /// Reads a rule from its text form.
  ///
  /// - Throws: `.badConfiguration`, with the forms that exist, when the text is none of them.
  public init(_ text: String) throws(ReFTError) {
    self = try PositionRuleParser(text).parse()
  }

  /// Whether prefix and suffix of the prompt can have parameters of their own.
  public var isTwoEnded: Bool {
    if case .ends(let first, let last) = selection { return first > 0 && last > 0 }
    return false
  }

  /// How many locations the rule lists, the same for every prompt; 0 where it has no list.
  public var locationCount: Int {
    switch selection {
    case .none, .all, .every, .after: 0
    case .ends(let first, let last): first + last
    case .indices(let indices): indices.count
    }
  }

  /// The canonical text of the rule; reading it gives an equal rule.
  public var description: String {
    let prompt =
      switch selection {
      case .none: "none"
      case .all: "all"
      case .every(let stride): "every:\(stride)"
      case .indices(let indices): "[" + indices.map(String.init).joined(separator: ",") + "]"
      case .after(let text): "after:" + PositionRuleParser.quoted(text)
      case .ends(let first, 0): "f\(first)"
      case .ends(0, let last): "l\(last)"
      case .ends(let first, let last): "f\(first)+l\(last)"
      }
    return editsDecodedTokens ? prompt + "+decode" : prompt
  }
}

extension PositionRule: Codable {
  /// Reads the text form.
  public init(from decoder: any Decoder) throws {
    try self.init(decoder.singleValueContainer().decode(String.self))
  }

  /// Writes the canonical text.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
