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
  /// How much of the change counts there.
  public var weight: Float

  /// Names a position.
  public init(position: Int, group: PositionGroup, location: Int, weight: Float = 1) {
    self.position = position
    self.group = group
    self.location = location
    self.weight = weight
  }
}

/// Which tokens an intervention edits, such as `f7+l7`, `all` or `after:"### Input:"`.
///
/// Each of `f` and `l` is clipped to half of the prompt, rounded down, as pyreft does: a prompt of
/// five tokens under `f3+l3` has its tokens 0, 1, 3 and 4 edited. A token that several parts name is
/// edited once, as the first of them says.
public struct PositionRule: Sendable, Hashable, CustomStringConvertible {
  /// Some tokens of the prompt, and how much of their change counts.
  public struct Part: Sendable, Hashable {
    /// The tokens.
    public var selection: Selection
    /// Times the change of their rows.
    public var weight: Float

    /// Names tokens; all of their change counts by default.
    public init(_ selection: Selection, weight: Float = 1) {
      self.selection = selection
      self.weight = weight
    }
  }

  /// What selects tokens of the prompt, in order.
  public let parts: [Part]
  /// How much of the change of generated tokens counts; nil: these are not edited.
  public let decodeWeight: Float?

  /// Makes a rule of its parts.
  public init(parts: [Part], decodeWeight: Float? = nil) {
    self.parts = parts
    self.decodeWeight = decodeWeight
  }

  /// Makes a rule of one part.
  public init(_ selection: Selection, editsDecodedTokens: Bool = false) {
    self.init(parts: [Part(selection)], decodeWeight: editsDecodedTokens ? 1 : nil)
  }

  /// Reads a rule from its text form.
  ///
  /// - Throws: `.badConfiguration`, with the forms that exist, when the text is none of them.
  public init(_ text: String) throws(ReFTError) {
    self = try PositionRuleParser(text).parse()
  }

  /// Whether generated tokens are edited too: the `+decode` of a rule.
  public var editsDecodedTokens: Bool { decodeWeight != nil }

  /// What the rule selects of the prompt, where it has one part alone, all of whose change counts.
  public var selection: Selection? {
    parts.count == 1 && parts[0].weight == 1 ? parts[0].selection : nil
  }

  /// The ends of the prompt that have rows of their own, and `all` where other parts have some.
  public var groups: [PositionGroup] {
    let present = Set(parts.flatMap(\.selection.groups))
    return [.prefix, .suffix, .all].filter(present.contains)
  }

  /// Whether prefix and suffix of the prompt can have parameters of their own.
  public var isTwoEnded: Bool { groups.prefix(2) == [.prefix, .suffix] }

  /// How many locations the rule lists, the same for every prompt; 0 where it has no list.
  public var locationCount: Int {
    var count = 0
    for part in parts {
      guard let own = part.selection.locationCount else { return 0 }
      count += own
    }
    return count
  }

  /// The canonical text of the rule; reading it gives an equal rule.
  public var description: String {
    let texts = parts.map { "\($0.selection)" + Self.text(weight: $0.weight) }
    let decode = decodeWeight.map { ["decode" + Self.text(weight: $0)] } ?? []
    return texts.isEmpty && decode.isEmpty ? "none" : (texts + decode).joined(separator: "+")
  }

  private static func text(weight: Float) -> String {
    guard weight != 1 else { return "" }
    return weight == weight.rounded() ? "*\(Int(weight))" : "*\(weight)"
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
