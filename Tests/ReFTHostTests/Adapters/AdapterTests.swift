// SPDX-License-Identifier: Apache-2.0
// Adapters: how they start, how they are saved and loaded, what is refused.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Adapters")
struct AdapterTests {
  /// A tiny model: 2 blocks of width 64.
  private func withModel(_ body: (LoadedModel, _ folder: String) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      try body(model, folder)
    }
  }

  private func spec(
    _ plugin: String = "loreft",
    positions: String = "f2+l2",
    shared: Bool = true,
    options: [String: OptionValue] = ["rank": .int(3)]
  ) throws -> InterventionSpec {
    InterventionSpec(
      plugin: plugin,
      layers: [0, 1],
      positions: try PositionRule(positions),
      shareWeights: shared,
      options: options
    )
  }

  @Test("name their tensors as the contract says")
  func names() throws {
    try withModel { model, _ in
      let catalog = try BuiltPlugins.catalog()
      let shared = try Adapter.create(specs: [spec()], model: model, catalog: catalog, seed: 1)
      #expect(
        shared.parameters.infos.map(\.name) == [
          "interventions.0.layers.0.rotate.weight", "interventions.0.layers.0.source.weight",
          "interventions.0.layers.0.source.bias", "interventions.0.layers.1.rotate.weight",
          "interventions.0.layers.1.source.weight", "interventions.0.layers.1.source.bias",
        ]
      )
      let apart = try Adapter.create(
        specs: [spec("additive-steering", shared: false, options: [:])],
        model: model,
        catalog: catalog,
        seed: 1
      )
      #expect(
        apart.parameters.infos.map(\.name) == [
          "interventions.0.layers.0.prefix.vector", "interventions.0.layers.0.suffix.vector",
          "interventions.0.layers.1.prefix.vector", "interventions.0.layers.1.suffix.vector",
        ]
      )
      #expect(shared.lowestBlock == 0)
      #expect(shared.parameters.parameterCount == 2 * (2 * 3 * 64 + 3))
    }
  }

  @Test("start orthonormal and uniform, and the same for the same seed")
  func start() throws {
    try withModel { model, _ in
      let catalog = try BuiltPlugins.catalog()
      let one = try Adapter.create(specs: [spec()], model: model, catalog: catalog, seed: 9)
      let same = try Adapter.create(specs: [spec()], model: model, catalog: catalog, seed: 9)
      let other = try Adapter.create(specs: [spec()], model: model, catalog: catalog, seed: 10)
      expectIdentical(one.parameters.values.values, same.parameters.values.values)
      #expect(one.parameters.tensor(0)[0] != other.parameters.tensor(0)[0])
      let rotation = one.parameters.tensor(0)
      for i in 0..<3 {
        for j in 0..<3 {
          let product = (0..<64).reduce(0) {
            $0 + Double(rotation[i * 64 + $1]) * Double(rotation[j * 64 + $1])
          }
          #expect(abs(product - (i == j ? 1 : 0)) < 1e-6)
        }
      }
      let weights = one.parameters.tensor(1)
      #expect(weights.allSatisfy { abs($0) <= 0.125 })
      #expect(weights.contains { abs($0) > 0.1 })
    }
  }

  @Test("that start as identity change no row")
  func identity() throws {
    try withModel { model, _ in
      let options: [String: OptionValue] = ["rank": .int(3), "init": .string("identity")]
      for (plugin, more) in [
        ("loreft", options), ("direft", options),
        ("direft", options.merging(["orthogonal": .flag(true)]) { $1 }), ("additive-steering", [:]),
      ] {
        let adapter = try Adapter.create(
          specs: [spec(plugin, positions: "all", options: more)],
          model: model,
          catalog: try BuiltPlugins.catalog(),
          seed: 3
        )
        let session = try EditSession([
          SequenceEdit(adapter: adapter, start: 0, count: 4, promptLength: 4)
        ])
        var generator = SeededGenerator(seed: 2)
        let rows = FloatBuffer(generator.normals(4 * 64))
        let before = Array(rows.values)
        try RowExchange().edit(
          HiddenRows(base: rows.base, rowStride: 64, width: 64),
          at: Site(block: 0, component: .blockOutput),
          by: session
        )
        expectClose(rows.values, before, tolerance: 2e-6, plugin)
      }
    }
  }

  @Test("come back from their folder as they were, and save to the same bytes")
  func roundTrip() throws {
    try withModel { model, folder in
      let catalog = try BuiltPlugins.catalog()
      let specs = [
        try spec(positions: #"after:"x"+decode"#), try spec("direft", shared: false),
      ]
      let made = try Adapter.create(specs: specs, model: model, catalog: catalog, seed: 4)
      made.template = "alpaca"
      made.trainingInfo = ["steps": .int(12), "loss": .double(1.5), "data": .array([.null])]
      try made.save(to: folder + "/runs/a")
      let loaded = try Adapter.load(path: folder + "/runs/a", model: model, catalog: catalog)
      #expect(loaded.warnings == [])
      #expect(loaded.specs == made.specs)
      #expect(loaded.template == "alpaca")
      #expect(loaded.trainingInfo == made.trainingInfo)
      #expect(loaded.provenance == made.provenance)
      expectIdentical(loaded.parameters.values.values, made.parameters.values.values)
      try loaded.save(to: folder + "/runs/b")
      for name in ["adapter_config.json", "adapter_model.safetensors", "README.md"] {
        let one = try Data(contentsOf: URL(fileURLWithPath: folder + "/runs/a/" + name))
        let two = try Data(contentsOf: URL(fileURLWithPath: folder + "/runs/b/" + name))
        #expect(one == two, "\(name)")
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/runs").count == 2)
    }
  }

  @Test("run the plugin whose id made them, and no other of the same name")
  func idDecides() throws {
    try withModel { model, folder in
      for (place, id) in [
        ("a", "org.example.red"), ("b", "com.acme.red"), ("c", "org.example.red"),
      ] {
        let path = folder + "/" + place
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let name = place == "c" ? "other.so" : "red.so"
        _ = try CompiledPlugin.make(["ID": "\"\(id)\""], in: path, name: name)
      }
      func catalog(_ places: [String]) -> PluginCatalog {
        PluginCatalog(
          extraPaths: places.map { folder + "/" + $0 },
          environment: [:],
          executableFolder: folder,
          loader: { file, _ throws(ReFTError) in try InProcessLoader.load(file) }
        )
      }
      let made = try Adapter.create(
        specs: [spec("red", options: [:])],
        model: model,
        catalog: catalog(["a"]),
        seed: 1
      )
      try made.save(to: folder + "/adapter")
      let loaded = try Adapter.load(
        path: folder + "/adapter",
        model: model,
        catalog: catalog(["b", "c"])
      )
      #expect(loaded.provenance.map(\.id) == ["org.example.red"])
      let error = #expect(throws: ReFTError.self) {
        try Adapter.load(path: folder + "/adapter", model: model, catalog: catalog(["b"]))
      }
      #expect(error?.code == .pluginRefused)
      #expect(
        error?.message
          == "the adapter '\(folder)/adapter' was made with plugin org.example.red, which is not here; "
          + "'red' here is com.acme.red ('\(folder)/b/red.so'), another plugin; put org.example.red where "
          + "plugins are found, or name its folder with --plugin-path"
      )
      let config = folder + "/adapter/adapter_config.json"
      let text = try String(contentsOfFile: config, encoding: .utf8)
      try Data(text.replacing("\"plugin\" : \"red\"", with: "\"plugin\" : \"blue\"").utf8)
        .write(to: URL(fileURLWithPath: config))
      let mixed = #expect(throws: ReFTError.self) {
        try Adapter.load(path: folder + "/adapter", model: model, catalog: catalog(["a"]))
      }
      #expect(mixed?.code == .badData)
      #expect(
        mixed?.message.contains("names the plugin 'blue' and the id 'org.example.red'") == true
      )
    }
  }

  @Test("replace an older folder and leave other files in it alone")
  func replace() throws {
    try withModel { model, folder in
      let catalog = try BuiltPlugins.catalog()
      let one = try Adapter.create(specs: [spec()], model: model, catalog: catalog, seed: 1)
      let two = try Adapter.create(specs: [spec()], model: model, catalog: catalog, seed: 2)
      try one.save(to: folder + "/a")
      try "mine".write(toFile: folder + "/a/notes.txt", atomically: false, encoding: .utf8)
      try two.save(to: folder + "/a/")
      let loaded = try Adapter.load(path: folder + "/a", model: model, catalog: catalog)
      expectIdentical(loaded.parameters.values.values, two.parameters.values.values)
      #expect(try String(contentsOfFile: folder + "/a/notes.txt", encoding: .utf8) == "mine")
      #expect(
        Set(try FileManager.default.contentsOfDirectory(atPath: folder)) == ["a", "tiny.gguf"]
      )
    }
  }
}
