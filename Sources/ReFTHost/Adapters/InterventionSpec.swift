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
  /// Whether prefix and suffix use the same parameters; without meaning for one-ended positions.
  public var shareWeights: Bool
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
    isolation: Isolation? = nil
  ) {
    self.plugin = plugin
    self.layers = layers
    self.component = component
    self.positions = positions
    self.shareWeights = shareWeights
    self.options = options
    self.isolation = isolation
  }

  /// The parameter sets of one layer: one for all tokens, or one for each end of the prompt.
  public var groups: [PositionGroup] {
    positions.isTwoEnded && !shareWeights ? [.prefix, .suffix] : [.all]
  }
}

extension InterventionSpec: Encodable {
  private enum CodingKeys: String, CodingKey {
    case plugin, layers, component, positions, options, isolation
    case shareWeights = "share_weights"
  }

  /// Writes the JSON shape of `adapter_config.json`.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(plugin, forKey: .plugin)
    try container.encode(layers, forKey: .layers)
    try container.encode(component, forKey: .component)
    try container.encode(positions, forKey: .positions)
    try container.encode(shareWeights, forKey: .shareWeights)
    try container.encode(options, forKey: .options)
    try container.encodeIfPresent(isolation, forKey: .isolation)
  }
}
