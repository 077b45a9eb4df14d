// SPDX-License-Identifier: Apache-2.0
// One entry of `interventions:` in a configuration or an adapter: which plugin, where, how.

public import ReFTModel

/// Where a plugin runs.
public enum Isolation: String, Sendable, Codable, Hashable {
  /// In this process: fast; a crash of the plugin ends the process.
  case none
  /// In a worker process over shared memory; a crash costs one call.
  case process
}

/// Which plugin edits which rows of which hidden tensors, with which options.
public struct InterventionSpec: Sendable, Hashable {
  /// The plugin's name or full id.
  public var plugin: String
  /// The blocks, 0-based, ascending.
  public var layers: [Int]
  /// The hidden tensor of each block.
  public var component: Component
  /// The tokens.
  public var positions: PositionRule
  /// Which tokens use the same parameters.
  public var sharing: WeightSharing
  /// The heads that are edited, each by itself; nil edits whole rows.
  public var heads: [Int]?
  /// What one parameter set is shared over, beside tokens.
  public var tie: Set<TieAxis>
  /// The plugin's own options; those not named have their defaults.
  public var options: [String: OptionValue]
  /// Where the plugin runs; nil leaves it to the trust record.
  public var isolation: Isolation?

  /// Describes an intervention.
  public init(
    plugin: String,
    layers: [Int],
    component: Component = .blockOutput,
    positions: PositionRule,
    shareWeights: Bool = true,
    options: [String: OptionValue] = [:],
    isolation: Isolation? = nil,
    sharing: WeightSharing? = nil,
    heads: [Int]? = nil,
    tie: Set<TieAxis> = []
  ) {
    self.plugin = plugin
    self.layers = layers
    self.component = component
    self.positions = positions
    self.sharing = sharing ?? WeightSharing(shareWeights)
    self.options = options
    self.isolation = isolation
    self.heads = heads
    self.tie = tie
  }

  /// Whether all tokens use the same parameters.
  public var shareWeights: Bool { sharing == .positions }

  /// The parameter sets of one layer and head: one for all tokens, one for each end of the prompt, or one
  /// for each location of the rule.
  public var parts: [PositionPart] {
    switch sharing {
    case .positions: [PositionPart(.all)]
    case .ends:
      positions.isTwoEnded ? positions.groups.map { PositionPart($0) } : [PositionPart(.all)]
    case .none: (0..<positions.locationCount).map { PositionPart(.all, location: $0) }
    }
  }

  /// The ends of the prompt that have parameters of their own, or all.
  public var groups: [PositionGroup] { sharing == .none ? [.all] : parts.map(\.group) }

  /// The parameter set of an edited token; generated tokens go with the last one.
  func part(of edited: EditedPosition, isDecoded: Bool) -> PositionPart {
    switch sharing {
    case .positions: PositionPart(.all)
    case .ends: PositionPart(positions.isTwoEnded ? edited.group : .all)
    case .none:
      PositionPart(.all, location: isDecoded ? positions.locationCount - 1 : edited.location)
    }
  }
}

extension InterventionSpec: Encodable {
  private enum CodingKeys: String, CodingKey {
    case plugin, layers, component, positions, options, isolation, heads, tie
    case shareWeights = "share_weights"
  }

  /// Writes the JSON shape of `adapter_config.json`.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(plugin, forKey: .plugin)
    try container.encode(layers, forKey: .layers)
    try container.encode(component, forKey: .component)
    try container.encode(positions, forKey: .positions)
    if sharing == .none {
      try container.encode(sharing.word, forKey: .shareWeights)
    } else {
      try container.encode(shareWeights, forKey: .shareWeights)
    }
    try container.encodeIfPresent(heads, forKey: .heads)
    if !tie.isEmpty { try container.encode(tie.map(\.rawValue).sorted(), forKey: .tie) }
    try container.encode(options, forKey: .options)
    try container.encodeIfPresent(isolation, forKey: .isolation)
  }
}
