// SPDX-License-Identifier: Apache-2.0
// Adapters on their way to other programs and back.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Exports")
struct ExportTests {
  private func withModel(_ body: (BaseModel, _ folder: String) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      try body(BaseModel(LoadedModel(path: TinyModel().write(in: folder))), folder)
    }
  }

  private func spec(
    _ plugin: String,
    _ positions: String,
    layers: [Int] = [0, 1],
    component: Component = .blockOutput,
    shared: Bool = true,
    options: [String: OptionValue] = ["rank": .int(3)]
  ) throws -> InterventionSpec {
    InterventionSpec(
      plugin: plugin,
      layers: layers,
      component: component,
      positions: try PositionRule(positions),
      shareWeights: shared,
      options: options
    )
  }

  @Test("to pyreft come back with the same bits, interventions and template")
  func roundTrip() throws {
    try withModel { base, folder in
      let catalog = try BuiltPlugins.catalog()
      let rank = OptionValue.int(3)
      let specs = [
        try spec(
          "loreft",
          "f2+l2",
          shared: false,
          options: ["rank": rank, "dropout": .float(0.1)]
        ),
        try spec("direft", "l1", layers: [1], options: ["rank": rank, "orthogonal": .flag(true)]),
        try spec(
          "direft",
          "f1",
          component: .mlpOutput,
          options: ["rank": rank, "activation": .string("relu")]
        ),
        try spec("noreft", "all", options: ["rank": rank, "bias": .flag(true)]),
        try spec("consreft", "every:2+decode"), try spec("lobireft", "f3+l3"),
      ]
      let adapter = try Adapter.create(specs: specs, base: base, catalog: catalog, seed: 4)
      adapter.template = "alpaca"
      try adapter.save(to: folder + "/a")
      let export = try AdapterExport(format: .pyreft, adapter: folder + "/a")
      let notes = try export.write(to: folder + "/p")
      #expect(notes.contains { $0.contains("give pyreft the positions f2+l2 yourself") })
      #expect(notes.contains { $0.contains("without its activation relu") })
      let back = try AdapterImport(format: .pyreft, source: folder + "/p")
        .adapter(base: base, catalog: catalog)
      #expect(back.template == "alpaca")
      #expect(back.parameters.infos.map(\.name) == adapter.parameters.infos.map(\.name))
      expectIdentical(back.parameters.values.values, adapter.parameters.values.values)
      for (one, other) in zip(back.specs, adapter.specs) {
        #expect(one.positions == other.positions && one.shareWeights == other.shareWeights)
        #expect(one.layers == other.layers && one.component == other.component)
        #expect(one.options.filter { $0.value != .flag(false) } == other.options)
      }
      let again = #expect(throws: ReFTError.self) { _ = try export.write(to: folder + "/p") }
      #expect(again?.message.contains("is there and not an empty folder") == true)
    }
  }

  @Test("with an option that pyreft has no place for are refused")
  func subspace() throws {
    try withModel { base, folder in
      let options: [String: OptionValue] = ["rank": .int(3), "subspace": .string("0-1")]
      try Adapter.create(
        specs: [spec("loreft", "l1", options: options)],
        base: base,
        catalog: BuiltPlugins.catalog(),
        seed: 2
      ).save(to: folder + "/a")
      let error = #expect(throws: ReFTError.self) {
        _ = try AdapterExport(format: .pyreft, adapter: folder + "/a").write(to: folder + "/p")
      }
      #expect(error?.message.contains("sets the option 'subspace' of plugin 'loreft'") == true)
      #expect(!FileManager.default.fileExists(atPath: folder + "/p"))
    }
  }

  @Test("of an orthonormal DiReFT give pyreft a base that is orthonormal from end to end")
  func base() throws {
    try withModel { base, folder in
      let specs = [try spec("lobireft", "l1", layers: [1])]
      let adapter = try Adapter.create(
        specs: specs,
        base: base,
        catalog: BuiltPlugins.catalog(),
        seed: 7
      )
      try adapter.save(to: folder + "/a")
      _ = try AdapterExport(format: .pyreft, adapter: folder + "/a").write(to: folder + "/p")
      let file = try TorchFile(
        path: folder + "/p/intkey_layer_1_comp_block_output_unit_pos_nunit_1#0.bin"
      )
      let frame = try file.floats("rotate_layer.parametrizations.weight.0.base")
      for one in 0..<64 {
        for other in 0...one {
          let product = (0..<64).reduce(0.0) {
            $0 + Double(frame[$1 * 64 + one]) * Double(frame[$1 * 64 + other])
          }
          #expect(abs(product - (one == other ? 1 : 0)) < 1e-6)
        }
      }
    }
  }

  private func steering(
    _ folder: String,
    _ base: BaseModel,
    positions: String = "all+decode",
    layers: [Int] = [1],
    component: Component = .blockOutput,
    plugin: String = "additive-steering"
  ) throws -> (path: String, vector: [Float]) {
    let options: [String: OptionValue] =
      plugin == "additive-steering" ? ["alpha": .float(0.5)] : ["rank": .int(2)]
    let adapter = try Adapter.create(
      specs: [
        spec(plugin, positions, layers: layers, component: component, options: options)
      ],
      base: base,
      catalog: BuiltPlugins.catalog(),
      seed: 1
    )
    var generator = SeededGenerator(seed: 5)
    let values = generator.normals(64)
    if plugin == "additive-steering" {
      _ = adapter.parameters.tensor(0).update(fromContentsOf: values)
    }
    let path = folder + "/a"
    try adapter.save(to: path)
    return (path, values)
  }

  @Test(
    "of additive steering are control vectors with alpha in them, which come back at their layer"
  )
  func controlVector() throws {
    try withModel { base, folder in
      let (path, vector) = try steering(folder, base)
      let output = folder + "/v.gguf"
      _ = try AdapterExport(format: .controlVector, adapter: path).write(to: output)
      let file = try GGUFFile(path: output)
      #expect(file.string("general.architecture") == "controlvector")
      #expect(file.string("controlvector.model_hint") == "llama")
      #expect(file.int("controlvector.layer_count") == 1)
      #expect(file.tensors.map(\.name) == ["direction.1"])
      expectIdentical(file.tensors[0].floats(), vector.map { 0.5 * $0 })
      let back = try AdapterImport(format: .controlVector, source: output)
        .adapter(base: base, catalog: BuiltPlugins.catalog())
      #expect(back.specs[0].layers == [1] && back.specs[0].positions.description == "all+decode")
      #expect(back.specs[0].options["alpha"] == .float(1))
      expectIdentical(Array(back.parameters.tensor(0)), vector.map { 0.5 * $0 })
      guard case .object(let facts)? = back.trainingInfo["imported"] else {
        Issue.record("nothing is recorded of the source")
        return
      }
      #expect(facts["layer_convention"] == .string("applied"))
      #expect(facts["source"] == .string("v.gguf"))
    }
  }

  /// An adapter that no control vector can be, and the reason.
  struct Refusal: Sendable {
    var positions = "all+decode"
    var layers = [1]
    var component = Component.blockOutput
    var plugin = "additive-steering"
    var says: String
  }

  static let refusals = [
    Refusal(positions: "all", says: "only an adapter with positions all+decode does the same"),
    Refusal(positions: "l1+decode", says: "edits the positions l1+decode"),
    Refusal(layers: [0, 1], says: "edits the output of block 0"),
    Refusal(component: .mlpOutput, says: "edits mlp_output"),
    Refusal(plugin: "loreft", says: "an intervention of plugin 'loreft'"),
  ]

  @Test("of what no control vector can be say why", arguments: refusals)
  func refuses(_ one: Refusal) throws {
    try withModel { base, folder in
      let (path, _) = try steering(
        folder,
        base,
        positions: one.positions,
        layers: one.layers,
        component: one.component,
        plugin: one.plugin
      )
      let error = #expect(throws: ReFTError.self) {
        _ = try AdapterExport(format: .controlVector, adapter: path).write(to: folder + "/v.gguf")
      }
      #expect(error?.code == .usage)
      #expect(error?.message.contains(one.says) == true, "\(error?.message ?? "")")
      #expect(!FileManager.default.fileExists(atPath: folder + "/v.gguf"))
    }
  }
}
