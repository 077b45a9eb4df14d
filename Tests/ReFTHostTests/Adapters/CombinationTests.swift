// SPDX-License-Identifier: Apache-2.0
// One adapter out of several: the same edit as of all together, or a refusal that says why.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

/// Two adapters that there is one for.
struct CombinationCase: Sendable, CustomTestStringConvertible {
  var plugin: String
  /// The tensor that both have.
  var shared: String?
  var strengths: [Float] = [0.3, -0.8]
  var options: [[String: OptionValue]] = [[:], [:]]
  var testDescription: String { "\(plugin) \(options)" }
}

@Suite("Combinations of adapters")
struct CombinationTests {
  private let width = 64

  private func withModel(_ body: (LoadedModel, _ folder: String) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      try body(try LoadedModel(path: TinyModel().write(in: folder)), folder)
    }
  }

  private func adapter(
    _ plugin: String,
    _ options: [String: OptionValue] = [:],
    layers: [Int] = [0],
    seed: UInt64,
    _ model: LoadedModel
  ) throws -> Adapter {
    let adapter = try Adapter.create(
      specs: [
        InterventionSpec(
          plugin: plugin,
          layers: layers,
          positions: PositionRule("all"),
          options: options
        )
      ],
      model: model,
      catalog: BuiltPlugins.catalog(),
      seed: seed
    )
    let random = CounterRandom(key: seed, step: 99)
    for (index, info) in adapter.parameters.infos.enumerated() where info.shape.count == 1 {
      let values = adapter.parameters.tensor(index)
      for place in values.indices { values[place] += random.normal(offset: UInt64(place)) }
    }
    return adapter
  }

  private func edited(_ stack: AdapterStack) throws -> [Float] {
    let rows = FloatBuffer(count: 3 * width)
    CounterRandom(key: 7, step: 0).fillNormal(rows.values)
    try RowExchange().edit(
      HiddenRows(base: rows.base, rowStride: width, width: width),
      at: Site(block: 0, component: .blockOutput),
      by: EditSession([SequenceEdit(adapters: stack, start: 0, count: 3, promptLength: 3)])
    )
    return Array(rows.values)
  }

  @Test(
    "edit as their adapters do together",
    arguments: [
      CombinationCase(plugin: "additive-steering", shared: nil),
      CombinationCase(plugin: "red", shared: nil),
      CombinationCase(plugin: "lobireft", shared: "rotate.weight"),
      CombinationCase(plugin: "consreft", shared: "rotate.weight", strengths: [1.5, -0.5]),
      CombinationCase(plugin: "loreft", shared: "rotate.weight"),
      CombinationCase(plugin: "direft", shared: "proj.weight"),
      CombinationCase(plugin: "noreft", shared: "proj.weight"),
      CombinationCase(
        plugin: "loreft",
        shared: "rotate.weight",
        options: [["subspace": .string("0-1")], ["subspace": .string("1,3")]]
      ),
    ]
  )
  func exact(_ example: CombinationCase) throws {
    try withModel { model, folder in
      let (one, two) = (
        try adapter(example.plugin, example.options[0], seed: 1, model),
        try adapter(example.plugin, example.options[1], seed: 2, model)
      )
      for index in one.parameters.infos.indices {
        guard let shared = example.shared, one.parameters.infos[index].name.hasSuffix(shared) else {
          continue
        }
        _ = two.parameters.tensor(index).update(fromContentsOf: one.parameters.tensor(index))
      }
      try one.save(to: folder + "/one")
      try two.save(to: folder + "/two")
      let words = try zip(["one", "two"], example.strengths).map {
        try AdapterWord("\(folder)/\($0):\($1)")
      }
      _ = try AdapterCombination(words).write(to: folder + "/both")
      let both = try Adapter.load(
        path: folder + "/both",
        model: model,
        catalog: BuiltPlugins.catalog()
      )
      let parts = zip([one, two], example.strengths).map { AdapterStack.Part($0, strength: $1) }
      expectClose(try edited(AdapterStack(both)), try edited(AdapterStack(parts)), tolerance: 2e-5)
      #expect(try edited(AdapterStack(both)) != edited(AdapterStack()))
    }
  }

  @Test("are refused where they would not be exact, with the reason and what to do")
  func refuses() throws {
    try withModel { model, folder in
      func refusal(_ adapters: [Adapter], _ strengths: [Float] = [1, 1]) throws -> String {
        var words: [AdapterWord] = []
        for (index, adapter) in adapters.enumerated() {
          try adapter.save(to: "\(folder)/\(index)")
          words.append(try AdapterWord("\(folder)/\(index):\(strengths[index])"))
        }
        let error = #expect(throws: ReFTError.self) {
          try AdapterCombination(words).write(to: folder + "/both")
        }
        #expect(error?.code == .usage)
        #expect(error?.message.contains("--adapter A:0.5 --adapter B") == true)
        return error?.message ?? ""
      }
      let plain = try adapter("loreft", seed: 1, model)
      let turned = try adapter("loreft", seed: 2, model)
      #expect(try refusal([plain, turned]).contains("is the same in all"))
      let relu: [String: OptionValue] = ["activation": .string("relu")]
      let bent = try adapter("loreft", relu, seed: 1, model)
      #expect(try refusal([bent, bent]).contains("activation relu"))
      #expect(try refusal([plain, bent]).contains("other options"))
      let other = try adapter("loreft", layers: [1], seed: 1, model)
      #expect(try refusal([plain, other]).contains("layers of interventions.0"))
      let norm = try adapter("norm-steering", seed: 1, model)
      #expect(try refusal([norm, norm]).contains("not known to be affine"))
      let sets = try adapter("consreft", seed: 1, model)
      #expect(try refusal([sets, sets]).contains("come to 1 and not to 2"))
    }
  }

  @Test(
    "are refused with numbers that are not finite, by adapter and tensor, and nothing is written",
    arguments: [
      (Float.nan, "1", "/0/adapter_model.safetensors': 'interventions.0.layers.0.vector'"),
      (-Float.infinity, "0", "/0/adapter_model.safetensors': 'interventions.0.layers.0"),
      (Float(3e38), "2", "/0' at strength 2.0 holds numbers in 'interventions.0.layers.0.vector'"),
    ]
  )
  func notFinite(_ value: Float, _ strength: String, _ message: String) throws {
    try withModel { model, folder in
      let made = try adapter("additive-steering", seed: 1, model)
      made.parameters.tensor(0)[3] = value
      try made.save(to: folder + "/0")
      let error = #expect(throws: ReFTError.self) {
        try AdapterCombination([AdapterWord("\(folder)/0:\(strength)")])
          .write(to: folder + "/both")
      }
      #expect(error?.code == .badData && error?.message.contains(message) == true)
      #expect(!FileManager.default.fileExists(atPath: folder + "/both"))
    }
  }
}
