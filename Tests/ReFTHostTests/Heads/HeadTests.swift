// SPDX-License-Identifier: Apache-2.0
// Heads: their arithmetic against differences, and their place in an adapter.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Heads")
struct HeadTests {
  struct Shape: CustomTestStringConvertible, Sendable {
    var pooling: HeadSpec.Pooling
    var hidden: HeadSpec.Hidden = .dense
    var activation: HeadSpec.Activation = .tanh
    var dropout = 0.0

    var testDescription: String { "\(pooling) \(hidden) \(activation) \(dropout)" }

    var spec: HeadSpec {
      HeadSpec(
        task: .classification,
        labels: LabelSet(count: 3),
        pooling: pooling,
        hidden: hidden,
        activation: activation,
        dropout: dropout
      )
    }
  }

  static let shapes = [
    Shape(pooling: .first), Shape(pooling: .mean, hidden: .none),
    Shape(pooling: .last, hidden: .none),
    Shape(pooling: .mean, activation: .relu), Shape(pooling: .mean, dropout: 0.3),
    Shape(pooling: .last, activation: .relu, dropout: 0.5),
    Shape(pooling: .first, hidden: .none, dropout: 0.4),
  ]

  private func withModel(_ body: (LoadedModel, _ folder: String) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      try body(try LoadedModel(path: TinyModel().write(in: folder)), folder)
    }
  }

  /// A head alone whose parameters are large enough to matter.
  private func adapter(_ spec: HeadSpec, _ model: LoadedModel) throws -> Adapter {
    let adapter = try Adapter.create(
      specs: [],
      head: spec,
      model: model,
      catalog: BuiltPlugins.catalog(),
      seed: 5
    )
    CounterRandom(key: 3).fillNormal(adapter.parameters.values.values)
    for place in adapter.parameters.values.values.indices {
      adapter.parameters.values[place] *= 0.2
    }
    return adapter
  }

  @Test("have the slopes of whatever is made of their outputs", arguments: shapes)
  func slopes(shape: Shape) throws {
    try withModel { model, _ in
      let (spec, d) = (shape.spec, model.configuration.hiddenSize)
      let adapter = try adapter(spec, model)
      let head = try #require(adapter.head)
      let counts = spec.pooling == .mean ? [3, 1, 4] : [1, 1, 1]
      let rows = counts.indices.map { index in
        let start = counts[..<index].reduce(0, +)
        return start..<start + counts[index]
      }
      var random = SeededGenerator(seed: 7)
      let states = FloatBuffer(random.normals(counts.reduce(0, +) * d))
      let slopes = FloatBuffer(random.normals(9))
      let dropout = HeadPass.Dropout(key: 4, step: 2, examples: [10, 11, 12])
      func pass() -> HeadPass {
        HeadPass(head, states: states.base, rows: rows, dropout: dropout)
      }
      func value() -> Double {
        let pass = pass()
        return (0..<3).reduce(0.0) { sum, text in
          zip(pass.outputs(of: text), slopes.values[(text * 3)...]).reduce(sum) {
            $0 + Double($1.0) * Double($1.1)
          }
        }
      }
      let gradients = adapter.parameters.makeGradients()
      let stateGradient = FloatBuffer(count: states.count)
      pass().backward(slopes.base, gradients: gradients, states: stateGradient.base)
      for (what, values, gradient) in [
        ("parameters", adapter.parameters.values, gradients), ("states", states, stateGradient),
      ] {
        let start = Array(values.values)
        let length = gradient.values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        #expect(length > 0.1, "\(what)")
        var ends: [Double] = []
        for step in [-1e-3, 1e-3] {
          for place in values.values.indices {
            values[place] = start[place] + Float(step / length) * gradient[place]
          }
          ends.append(value())
        }
        _ = values.values.update(fromContentsOf: start)
        let slope = (ends[1] - ends[0]) / 2e-3
        #expect(abs(slope - length) < 4e-3 * length, "\(what): \(slope), expected \(length)")
      }
    }
  }

  @Test("give a text the same bits whatever is beside it, and draw by its name alone")
  func bits() throws {
    try withModel { model, _ in
      let spec = Shape(pooling: .mean, dropout: 0.5).spec
      let head = try #require(adapter(spec, model).head)
      var random = SeededGenerator(seed: 7)
      let states = FloatBuffer(random.normals(5 * 64))
      func outputs(_ rows: [Range<Int>], _ examples: [Int32], step: UInt64 = 1) -> [Float] {
        let dropout = HeadPass.Dropout(key: 4, step: step, examples: examples)
        let pass = HeadPass(head, states: states.base, rows: rows, dropout: dropout)
        return rows.indices.flatMap { Array(pass.outputs(of: $0)) }
      }
      let both = outputs([0..<2, 2..<5], [8, 9])
      expectIdentical(outputs([2..<5], [9]), Array(both[3...]), "alone")
      #expect(outputs([2..<5], [8]) != Array(both[3...]))
      #expect(outputs([2..<5], [9], step: 2) != Array(both[3...]))
    }
  }

  @Test("alone are an adapter, and come back from its folder as they were")
  func roundTrip() throws {
    try withModel { model, folder in
      let catalog = try BuiltPlugins.catalog()
      var spec = Shape(pooling: .first, dropout: 0.25).spec
      spec.labels = LabelSet(names: ["no", "maybe", "yes"])
      let made = try Adapter.create(specs: [], head: spec, model: model, catalog: catalog, seed: 5)
      #expect(
        made.parameters.infos.map(\.name) == [
          "head.dense.weight", "head.dense.bias", "head.classifier.weight", "head.classifier.bias",
        ]
      )
      #expect(made.parameters.infos.map(\.allowsDecay) == [true, false, true, false])
      #expect(made.parameters.trainableCount == 64 * 64 + 64 + 3 * 64 + 3)
      #expect(made.frozenDepth == 2 && made.lowestBlock == 2)
      try made.save(to: folder + "/a")
      let loaded = try Adapter.load(path: folder + "/a", model: model, catalog: catalog)
      #expect(loaded.head?.spec == spec)
      expectIdentical(loaded.parameters.values.values, made.parameters.values.values)
      #expect(try AdapterSummary(path: folder + "/a").head == spec)
      try loaded.save(to: folder + "/b")
      for name in ["adapter_config.json", "adapter_model.safetensors", "README.md"] {
        let one = try Data(contentsOf: URL(fileURLWithPath: folder + "/a/" + name))
        #expect(one == (try Data(contentsOf: URL(fileURLWithPath: folder + "/b/" + name))))
      }
    }
  }

  @Test("start the same from the same seed, matrices at random and biases at zero")
  func start() throws {
    try withModel { model, _ in
      let catalog = try BuiltPlugins.catalog()
      let spec = Shape(pooling: .first).spec
      func make(_ seed: UInt64) throws -> ParameterStore {
        try Adapter.create(specs: [], head: spec, model: model, catalog: catalog, seed: seed)
          .parameters
      }
      let (one, same, other) = try (make(1), make(1), make(2))
      expectIdentical(one.values.values, same.values.values)
      #expect(Array(one.tensor(0)) != Array(other.tensor(0)))
      #expect(one.tensor(1).allSatisfy { $0 == 0 } && one.tensor(3).allSatisfy { $0 == 0 })
      let square = one.tensor(0).reduce(0.0) { $0 + Double($1) * Double($1) } / 4096
      #expect(abs(square.squareRoot() - 0.02) < 0.001)
    }
  }

  struct Mistake: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var head: String
    var message: String
  }

  static let mistakes = [
    Mistake(
      testDescription: "no object",
      head: "3",
      message: "head is 3; it must be an object"
    ),
    Mistake(
      testDescription: "unknown key",
      head: #"{"task":"regression","labels":1,"pooling":"mean","poling":"first"}"#,
      message: "head.poling is a key that this version does not know; did you mean 'pooling'?"
    ),
    Mistake(
      testDescription: "unknown task",
      head: #"{"task":"ranking","labels":2,"pooling":"mean"}"#,
      message:
        "head.task is 'ranking'; it must be one of classification, multi_label, regression"
    ),
    Mistake(
      testDescription: "one label",
      head: #"{"task":"classification","labels":["a"],"pooling":"mean"}"#,
      message: "it must be 2 to 65536 labels for a classification"
    ),
    Mistake(
      testDescription: "a label twice",
      head: #"{"task":"classification","labels":["a","b","a"],"pooling":"mean"}"#,
      message: "it must be names that differ"
    ),
    Mistake(
      testDescription: "too many labels",
      head: #"{"task":"classification","labels":9000000000,"pooling":"mean"}"#,
      message: "head.labels is 9000000000; it must be 1 to 65536, or a list of names"
    ),
    Mistake(
      testDescription: "all dropped",
      head: #"{"task":"classification","labels":2,"pooling":"mean","dropout":1}"#,
      message: "head.dropout is 1; it must be a number from 0 and below 1"
    ),
  ]

  @Test("that cannot be are refused with their place", arguments: mistakes)
  func refuses(mistake: Mistake) throws {
    try withModel { model, folder in
      let path = folder + "/a"
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      let text = """
        {"format":"reft-adapter","format_version":1,
         "base_model":{"architecture":"llama","hidden_size":64,"layers":2},
         "interventions":[],
         "head":\(mistake.head)}
        """
      try Data(text.utf8).write(to: URL(fileURLWithPath: path + "/adapter_config.json"))
      let error = #expect(throws: ReFTError.self) {
        try Adapter.load(path: path, model: model, catalog: BuiltPlugins.catalog())
      }
      #expect(error?.code == .badData)
      #expect(error?.message.contains(mistake.message) == true, "\(error?.message ?? "")")
      #expect(error?.message.hasPrefix(path + "/adapter_config.json:4:") == true)
    }
  }
}
