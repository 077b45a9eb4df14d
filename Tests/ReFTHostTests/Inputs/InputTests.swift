// SPDX-License-Identifier: Apache-2.0
// Numbers from files that the host reads for plugins: what plugins get of them, in this process and in
// another, and how adapters keep them.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Inputs by the host")
struct InputTests {
  private static let fixture = Fixture.path("sae/sae.safetensors")

  private func sae(
    _ mode: String,
    threshold: Bool,
    encoder: String = "encoder",
    decoder: String = "decoder"
  ) throws -> InstanceHarness {
    func tensor(_ name: String) -> OptionValue { .string(Self.fixture + "#" + name) }
    var options: [String: OptionValue] = [
      "encoder": tensor(encoder), "decoder": tensor(decoder),
      "encoder_bias": tensor("encoder_bias"),
      "decoder_bias": tensor("decoder_bias"), "feature": .int(2), "mode": .string(mode),
      "value": .float(1.5), "train": .flag(true),
    ]
    if threshold { options["threshold"] = tensor("threshold") }
    let harness = try InstanceHarness("sae", dim: 16, options: options)
    harness.store.values[0] = 1.5
    return harness
  }

  @Test(
    "sae computes what PyTorch does, with its gradients",
    arguments: ["clamp", "add"],
    [false, true]
  )
  func golden(mode: String, isJump: Bool) throws {
    let file = try Safetensors.read(path: Self.fixture)
    let name = (isJump ? "jumprelu." : "relu.") + mode
    let (x, dy) = (try file.floats("x"), try file.floats("dy"))
    let harness = try sae(mode, threshold: isJump)
    let first = try harness.forward(x)
    expectClose(first.y, try file.floats(name + ".y"), tolerance: 1e-5)
    let gradients = harness.store.makeGradients()
    let dx = try harness.backward(x, dy, saved: first.saved, gradients: gradients)
    expectClose(dx, try file.floats(name + ".dx"), tolerance: 1e-4)
    expectClose([gradients[0]], try file.floats(name + ".dvalue"), tolerance: 1e-4)
    // Stored the other way round, and in half precision.
    let turned = try sae(mode, threshold: isJump, encoder: "encoder.transposed").forward(x).y
    expectIdentical(turned, first.y)
    let half = try sae(mode, threshold: isJump, decoder: "decoder.half").forward(x).y
    expectClose(half, first.y, tolerance: 1e-2)
  }

  @Test("what names no tensor is refused, with what to do")
  func refused() throws {
    let plugin = try BuiltPlugins.catalog().find("sae")
    let site = PluginSite(dim: 16, layer: 0, component: "block_output")
    for (text, code, says) in [
      ("encoder", .badConfiguration, "FILE#TENSOR"),
      ("nowhere.safetensors#w", .inputMissing, "is not there"),
      (Self.fixture + "#wrong", .badData, "has no tensor 'wrong'"),
      (Self.fixture + "#x", .badConfiguration, "matrices of features"),
    ] as [(String, ReFTError.Code, String)] {
      let error = #expect(throws: ReFTError.self) {
        try plugin.makeInstance(
          at: site,
          options: ["encoder": .string(text), "decoder": .string(Self.fixture + "#decoder")]
        )
      }
      #expect(
        error?.code == code && error?.message.contains(says) == true,
        "\(error?.message ?? "")"
      )
    }
  }

  /// Runs a body with a tiny model, the plugin of the kit that reads a direction, and its file.
  private func withBench(
    _ body: (LoadedModel, _ folder: String, _ catalog: (Bool) -> PluginCatalog) throws -> Void
  ) throws {
    try withTemporaryDirectory { folder in
      let library = folder + "/libinput.so"
      try CompiledLibrary.run([
        "cc", "-shared", "-fPIC", "-fvisibility=hidden", "-O1", "-w", "-std=gnu17", "-I",
        CompiledLibrary.include, Fixture.path("plugins/input.c"), "-o", library,
      ])
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      var random = SeededGenerator(seed: 4)
      let values = (0..<model.configuration.hiddenSize).map { _ in random.normal() }
      try Safetensors.write(
        [NamedTensor(name: "v", shape: [values.count], values: values)],
        metadata: [:],
        to: folder + "/directions.safetensors"
      )
      let worker = try #require(BuiltPlugins.folder) + "/reft-plugin-worker"
      try body(model, folder) { isIsolated in
        PluginCatalog(
          extraPaths: [folder],
          environment: [:],
          executableFolder: "/nonexistent",
          loader: { file, _ throws(ReFTError) in
            guard isIsolated else { return try InProcessLoader.load(file) }
            return try IsolatedLoader.load(file, settings: IsolationSettings(workerPath: worker))
          }
        )
      }
    }
  }

  private func adapter(
    _ model: LoadedModel,
    _ folder: String,
    _ catalog: PluginCatalog
  ) throws -> Adapter {
    let spec = InterventionSpec(
      plugin: "input",
      layers: [0, 1],
      positions: try PositionRule("all"),
      options: ["direction": .string(folder + "/directions.safetensors#v")]
    )
    let adapter = try Adapter.create(specs: [spec], model: model, catalog: catalog, seed: 1)
    for index in adapter.parameters.infos.indices { adapter.parameters.tensor(index)[0] = 0.7 }
    return adapter
  }

  private static let batch: PackedBatch = {
    var batch = PackedBatch()
    batch.append(ids: [5, 9, 3, 7, 11, 2], labels: [-100, -100, -100, 7, 11, 2])
    return batch
  }()

  private func losses(_ model: LoadedModel, _ adapter: Adapter) throws -> ([Float], [Float]) {
    let gradients = adapter.parameters.makeGradients()
    let losses = try ModelRuntime(model: model.frozen).lossAndGradient(
      Self.batch,
      editor: EditSession(
        [SequenceEdit(adapter: adapter, start: 0, count: 6, promptLength: 6)],
        mode: .training(gradients: gradients, randomKey: 1, randomStep: 0)
      ),
      scale: 1
    )
    return (losses, Array(gradients.values))
  }

  @Test(
    "an input is a parameter that no adapter stores and nothing trains, alike in another process"
  )
  func frozen() throws {
    try withBench { model, folder, catalog in
      let results = try [false, true].map { isIsolated in
        let adapter = try adapter(model, folder, catalog(isIsolated))
        #expect(adapter.parameters.infos.map(\.name).allSatisfy { $0.hasSuffix("strength") })
        #expect(adapter.parameters.trainableCount == 2)
        return try losses(model, adapter)
      }
      expectIdentical(results[0].0, results[1].0)
      expectIdentical(results[0].1, results[1].1)
      #expect(results[0].1.contains { $0 != 0 })
    }
  }

  @Test("an empty file is an input like any other, alike in another process")
  func emptyFile() throws {
    try withTemporaryDirectory { folder in
      let path = try CompiledPlugin.make(["OPTION": ".type=REFT_OPTION_FILE"], in: folder)
      try Data().write(to: URL(fileURLWithPath: folder + "/empty.bin"))
      let file = try PluginFile(path: path)
      let worker = try #require(BuiltPlugins.folder) + "/reft-plugin-worker"
      let plugins = [
        try InProcessLoader.load(file),
        try IsolatedLoader.load(file, settings: IsolationSettings(workerPath: worker)),
      ]
      for plugin in try plugins.map({ try #require($0.first) }) {
        let instance = try plugin.makeInstance(
          at: PluginSite(dim: 16, layer: 0, component: "block_output"),
          options: ["size": .string(folder + "/empty.bin")]
        )
        #expect(instance.parameters.map(\.name) == ["v"], "\(plugin.isolation)")
      }
    }
  }

  @Test("an adapter takes a small input along, and needs its file no more")
  func embedded() throws {
    try withBench { model, folder, catalog in
      let made = try adapter(model, folder, catalog(false))
      try made.save(to: folder + "/adapter")
      let expected = try losses(model, made).0
      try FileManager.default.removeItem(atPath: folder + "/directions.safetensors")
      for isIsolated in [false, true] {
        let loaded = try Adapter.load(
          path: folder + "/adapter",
          model: model,
          catalog: catalog(isIsolated)
        )
        expectIdentical(try losses(model, loaded).0, expected)
        try loaded.save(to: folder + "/again")
      }
      let names = ["adapter_model.safetensors", "adapter_config.json"]
      for name in names {
        let pair = ["adapter", "again"].map {
          FileManager.default.contents(atPath: folder + "/\($0)/" + name)
        }
        #expect(pair[0] == pair[1], "\(name)")
      }
    }
  }

  @Test("a large input stays where it is, and one that is gone or changed is named")
  func referenced() throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      let (width, path) = (model.configuration.hiddenSize, folder + "/large.safetensors")
      func write(_ value: Float) throws {
        let count = PluginInput.embeddedLimit / 4 / width + 1
        let values = [Float](repeating: value, count: count * width)
        try Safetensors.write(
          [NamedTensor(name: "w", shape: [count, width], values: values)],
          metadata: [:],
          to: path
        )
      }
      try write(0.5)
      let spec = InterventionSpec(
        plugin: "sae",
        layers: [0],
        positions: try PositionRule("all"),
        options: ["encoder": .string(path + "#w"), "decoder": .string(path + "#w")]
      )
      let catalog = try BuiltPlugins.catalog()
      let adapter = try Adapter.create(specs: [spec], model: model, catalog: catalog, seed: 1)
      try adapter.save(to: folder + "/adapter")
      _ = try Adapter.load(path: folder + "/adapter", model: model, catalog: catalog)
      for (change, code, says) in [
        ({ try write(0.25) }, .badData, "was made with other numbers"),
        ({ try FileManager.default.removeItem(atPath: path) }, .inputMissing, "is not there"),
      ] as [(() throws -> Void, ReFTError.Code, String)] {
        try change()
        let error = #expect(throws: ReFTError.self) {
          try Adapter.load(path: folder + "/adapter", model: model, catalog: catalog)
        }
        let message = error?.message ?? ""
        #expect(
          error?.code == code && message.contains(says) && message.contains(path),
          "\(message)"
        )
      }
    }
  }
}
