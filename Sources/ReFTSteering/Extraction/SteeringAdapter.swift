// SPDX-License-Identifier: Apache-2.0
// Directions as an adapter: the plugin's vector is the direction times the length of a step, and
// its option `alpha` the strength. What the numbers mean is recorded in the adapter.

import Foundation
public import ReFTHost
public import ReFTTensor

/// How directions become edits.
public struct SteeringEdit: Sendable, Equatable {
  /// The plugin: one with a parameter `vector` and an option `alpha`.
  public var plugin: String
  /// What strength 1 means.
  public var unit: StrengthUnit
  /// The strength.
  public var strength: Double
  /// The tokens that are edited.
  public var positions: PositionRule

  /// Describes edits.
  public init(
    plugin: String = "additive-steering",
    unit: StrengthUnit = .medianNorm,
    strength: Double = 0.2,
    positions: PositionRule = PositionRule(.all, editsDecodedTokens: true)
  ) {
    self.plugin = plugin
    self.unit = unit
    self.strength = strength
    self.positions = positions
  }
}

extension SteeringExtraction {
  /// The adapter that steers along the directions.
  ///
  /// - Parameters:
  ///   - edit: how.
  ///   - model: the model that they were read from.
  ///   - catalog: where plugins are found.
  ///   - facts: what else is to be recorded.
  /// - Returns: the adapter.
  /// - Throws: `usage` for a plugin without a vector; what making an adapter throws.
  public func adapter(
    _ edit: SteeringEdit,
    model: LoadedModel,
    catalog: PluginCatalog,
    facts: [String: JSONValue] = [:]
  ) throws(ReFTError) -> Adapter {
    let spec = InterventionSpec(
      plugin: edit.plugin,
      layers: plan.layers.sorted(),
      component: plan.component,
      positions: edit.positions,
      options: ["alpha": .float(edit.strength), "trainable": .flag(false)]
    )
    let adapter = try Adapter.create(specs: [spec], model: model, catalog: catalog, seed: 0)
    for vector in vectors {
      let length = Float(edit.unit.length(of: vector))
      try adapter.setVector(vector.direction.map { $0 * length }, layer: vector.layer)
    }
    var record = facts
    for (key, value) in notes(edit) { record[key] = value }
    adapter.trainingInfo = ["steering": .object(record)]
    return adapter
  }

  private func notes(_ edit: SteeringEdit) -> [String: JSONValue] {
    let layers = vectors.map { vector in
      JSONValue.object([
        "layer": .int(Int64(vector.layer)), "median_norm": .double(vector.medianNorm),
        "gap": .double(vector.gap), "norm": .double(vector.norm),
        "auroc": .double(vector.separation.auroc), "accuracy": .double(vector.separation.accuracy),
        "explained_variance": .double(vector.explainedVariance),
      ])
    }
    return [
      "method": .string(plan.method.rawValue), "unit": .string(edit.unit.rawValue),
      "strength": .double(edit.strength), "read_position": .string(plan.position.description),
      "seed": .int(Int64(bitPattern: plan.seed)), "held_out": .double(plan.heldOut),
      "texts": .int(Int64(trainingTexts)), "held_out_texts": .int(Int64(heldOutTexts)),
      "layers": .array(layers),
    ]
  }
}

extension Adapter {
  /// The name of a steering vector's parameter.
  static func vectorName(layer: Int) -> String { "interventions.0.layers.\(layer).vector" }

  /// Writes the vector of a layer.
  ///
  /// - Throws: `usage` where the plugin has none of that width.
  func setVector(_ values: [Float], layer: Int) throws(ReFTError) {
    guard let index = parameters.index(of: Self.vectorName(layer: layer)),
      parameters.infos[index].count == values.count
    else { throw .pluginWithoutVector(specs[0].plugin) }
    _ = parameters.tensor(index).update(fromContentsOf: values)
  }

  /// The vector of a layer; nil where there is none.
  func vector(layer: Int) -> [Float]? {
    parameters.index(of: Self.vectorName(layer: layer)).map { Array(parameters.tensor($0)) }
  }

  /// Writes the adapter as a GGUF control vector.
  ///
  /// - Throws: `usage` for edits that the format has no place for; `inputOutput` where the system
  ///   refuses.
  public func writeControlVector(to path: String) throws(ReFTError) {
    let folder = NSTemporaryDirectory() + "/reft-steer-" + UUID().uuidString
    defer {
      // Hidden from everybody else, and harmless where it stays.
      try? FileManager.default.removeItem(atPath: folder)
    }
    try save(to: folder)
    _ = try AdapterExport(format: .controlVector, adapter: folder).write(to: path)
  }
}

extension ReFTError {
  static func pluginWithoutVector(_ plugin: String) -> ReFTError {
    ReFTError(
      .usage,
      "plugin '\(plugin)' has no parameter 'vector' of the width of the rows, which a direction "
        + "could be; give --plugin additive-steering or norm-steering"
    )
  }
}
