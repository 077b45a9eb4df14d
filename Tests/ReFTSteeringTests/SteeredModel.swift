// SPDX-License-Identifier: Apache-2.0
// A tiny model with a contrast, a steering adapter and sweeps of it, for the tests beside this
// file.

import ReFTHost
import ReFTModel
import ReFTSteering
import _ReFTTestSupport

/// A tiny model with a steering adapter of its own.
struct Steered {
  let folder: String
  let model: LoadedModel
  let catalog: PluginCatalog
  let contrast: ContrastSet
  let adapter: Adapter

  static let pairs = (0..<8).map { number in
    ("item \(number) of the list is", " one of the best", " not the worst")
  }

  init(_ folder: String, plugin: String = "additive-steering") throws {
    self.folder = folder
    model = try LoadedModel(path: TinyModel().write(in: folder))
    catalog = try BuiltPlugins.catalog()
    contrast = ContrastSet(
      positives: Self.pairs.map { ContrastText(prompt: $0.0, text: $0.1, place: "rows:1") },
      negatives: Self.pairs.map { ContrastText(prompt: $0.0, text: $0.2, place: "rows:1") },
      isPaired: true
    )
    adapter = try Self.extraction(contrast, model)
      .adapter(SteeringEdit(plugin: plugin), model: model, catalog: catalog)
  }

  static func extraction(
    _ contrast: ContrastSet,
    _ model: LoadedModel,
    _ device: any ComputeDevice = ProcessorDevice.shared
  ) throws -> SteeringExtraction {
    try SteeringExtraction(
      of: contrast,
      plan: ExtractionPlan(layers: [0, 1], heldOut: 0.25),
      encoder: ContrastEncoder(model: model, usesChat: false),
      model: model,
      device: device
    )
  }

  func sweep(
    baseline: String? = "Praise it.",
    contrast: ContrastSet? = nil,
    device: any ComputeDevice = ProcessorDevice.shared
  ) throws -> SteeringSweep {
    try SteeringSweep(
      adapter,
      contrast: contrast ?? self.contrast,
      neutral: "The sea and the land are there, and the wind is in the trees of the hill.",
      plan: SweepPlan(
        layers: [0, 1],
        strengths: [-0.5, 0.5],
        promptBaseline: baseline,
        prompts: ["one two", "three"],
        maxTokens: 6
      ),
      encoder: ContrastEncoder(model: model, usesChat: false),
      model: model,
      catalog: catalog,
      device: device
    )
  }

  func store(_ name: String, facts: [String: String] = ["model": "tiny"]) throws -> SweepStore {
    try SweepStore(folder: folder + "/" + name, facts: facts)
  }
}
