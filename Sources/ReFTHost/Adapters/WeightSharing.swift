// SPDX-License-Identifier: Apache-2.0
// Which places of an intervention have the same parameters.

import ReFTModel

/// Which edited tokens use the same parameters.
public enum WeightSharing: String, Sendable, Hashable, CaseIterable {
  /// All of them: `share_weights: true`.
  case positions
  /// Those of one end of the prompt: `share_weights: false`. Without meaning where a rule has one end.
  case ends
  /// None: each location of the rule has its own, as the ReFT paper counts interventions.
  case none

  /// Takes today's switch over.
  public init(_ isShared: Bool) { self = isShared ? .positions : .ends }

  /// As files have it.
  public var word: String {
    switch self {
    case .positions: "true"
    case .ends: "false"
    case .none: "none"
    }
  }

  /// Reads what files have.
  public init?(word: String) {
    switch word {
    case "true": self = .positions
    case "false": self = .ends
    default: self.init(rawValue: word)
    }
  }
}

/// What one parameter set of an intervention is shared over.
public enum TieAxis: String, Sendable, Hashable, CaseIterable {
  /// The chosen layers.
  case layers
  /// The chosen heads.
  case heads
}

/// The tokens that one parameter set serves.
public struct PositionPart: Sendable, Hashable {
  /// The end of the prompt, or all.
  public var group: PositionGroup
  /// The location of the rule; nil for all of the group's.
  public var location: Int?

  /// Names tokens.
  public init(_ group: PositionGroup, location: Int? = nil) {
    (self.group, self.location) = (group, location)
  }

  /// Its part of tensor names; nil where one set serves all tokens.
  public var name: String? {
    location.map { "positions.\($0)" } ?? (group == .all ? nil : group.rawValue)
  }
}

extension InterventionSpec {
  /// The component, and its heads where they are edited singly.
  public var componentInWords: String {
    guard let heads else { return component.rawValue }
    return component.rawValue + ", heads " + heads.map(String.init).joined(separator: " ")
  }

  /// What parameters are shared over, in a few words.
  public var sharingInWords: String {
    let positions =
      switch sharing {
      case .positions: "all positions"
      case .ends: self.positions.isTwoEnded ? "each end" : "all positions"
      case .none: "no positions"
      }
    return ([positions] + TieAxis.allCases.filter(tie.contains).map { "all \($0.rawValue)" })
      .joined(separator: ", ")
  }
}
