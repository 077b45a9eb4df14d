// SPDX-License-Identifier: Apache-2.0
// Several adapters on one sequence: strengths, the three rules, and batches of different lists.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Composition of adapters")
struct CompositionTests {
  private let site = Site(block: 0, component: .blockOutput)
  private let width = 64

  private func withModel(_ body: (LoadedModel) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      try body(try LoadedModel(path: TinyModel().write(in: folder)))
    }
  }

  private func adapter(
    _ plugins: [String],
    positions: String = "all",
    seed: UInt64 = 1,
    model: LoadedModel
  ) throws -> Adapter {
    try Adapter.create(
      specs: plugins.map {
        InterventionSpec(plugin: $0, layers: [0], positions: try PositionRule(positions))
      },
      model: model,
      catalog: BuiltPlugins.catalog(),
      seed: seed
    )
  }

  /// Adds `value` to every number of its rows.
  private func adding(
    _ value: Float,
    positions: String = "all",
    model: LoadedModel
  ) throws -> Adapter {
    let adapter = try adapter(["additive-steering"], positions: positions, model: model)
    adapter.parameters.tensor(0).update(repeating: value)
    return adapter
  }

  /// Doubles every number of its rows, and then adds 1 where `plugins` say so.
  private func doubling(_ plugins: [String] = ["red"], model: LoadedModel) throws -> Adapter {
    let adapter = try adapter(plugins, model: model)
    for (index, info) in adapter.parameters.infos.enumerated() {
      let value: Float = info.name.hasSuffix("scale") ? 2 : info.name.hasSuffix("vector") ? 1 : 0
      adapter.parameters.tensor(index).update(repeating: value)
    }
    return adapter
  }

  private func stack(
    _ parts: [(Adapter, Float)],
    _ rule: CompositionRule = .sum
  ) -> AdapterStack {
    AdapterStack(
      parts.enumerated().map { AdapterStack.Part($1.0, strength: $1.1, name: "adapter \($0)") },
      rule: rule
    )
  }

  private func sequence(_ stack: AdapterStack, start: Int = 0, count: Int = 1) -> SequenceEdit {
    SequenceEdit(adapters: stack, start: start, count: count, promptLength: count)
  }

  /// What becomes of rows, all of whose numbers are 3 unless they are given.
  private func edited(
    _ sequences: [SequenceEdit],
    rows count: Int = 1,
    from values: [Float]? = nil
  ) throws -> [Float] {
    let rows = FloatBuffer(count: count * width)
    for index in 0..<count * width { rows[index] = values?[index] ?? 3 }
    try RowExchange().edit(
      HiddenRows(base: rows.base, rowStride: width, width: width),
      at: site,
      by: EditSession(sequences)
    )
    return Array(rows.values)
  }

  @Test("sum adds the differences from the same row, sequential edits one behind the other")
  func rules() throws {
    try withModel { model in
      let (add, double) = (try adding(1, model: model), try doubling(model: model))
      for (parts, rule, expected) in [
        ([(add, 1), (double, 1)], .sum, 7), ([(double, 1), (add, 1)], .sum, 7),
        ([(add, 1), (double, 1)], .sequential, 8), ([(double, 1), (add, 1)], .sequential, 7),
        ([(double, 0.5), (add, 2)], .sum, 6.5), ([(add, -1), (double, 0.5)], .sequential, 3),
        ([(double, 1), (add, 0)], .error, 6),
      ] as [([(Adapter, Float)], CompositionRule, Float)] {
        #expect(try edited([sequence(stack(parts, rule))])[0] == expected, "\(rule)")
      }
    }
  }

  @Test("error refuses two adapters that edit the same numbers, and names them")
  func refuses() throws {
    try withModel { model in
      let (one, two) = (try adding(1, model: model), try doubling(model: model))
      let error = #expect(throws: ReFTError.self) {
        try EditSession([sequence(stack([(one, 1), (two, 1)], .error))])
      }
      #expect(error?.code == .usage)
      let says = "'adapter 0' and 'adapter 1' both edit the block_output"
      #expect(error?.message.contains(says) == true)
      let (first, last) = (
        try adding(1, positions: "[0]", model: model), try adding(5, positions: "[1]", model: model)
      )
      let apart = sequence(stack([(first, 1), (last, 1)], .error), count: 2)
      let rows = try edited([apart], rows: 2)
      #expect([rows[0], rows[width]] == [4, 8])
    }
  }

  @Test("the strength of an adapter with two edits in a row is that of both together")
  func chain() throws {
    try withModel { model in
      let both = try doubling(["red", "additive-steering"], model: model)
      #expect(try edited([sequence(stack([(both, 1)]))])[0] == 7)
      #expect(try edited([sequence(stack([(both, 0.5)]))])[0] == 5)
      #expect(try EditSession([sequence(stack([(both, 0)]))]).isEmpty)
    }
  }

  @Test("strength 1 has the bits of today's edit, and the order of a sum changes no bit")
  func bits() throws {
    try withModel { model in
      let (one, two) = (
        try adapter(["loreft"], model: model), try adapter(["loreft"], seed: 2, model: model)
      )
      let last = try adapter(["loreft"], positions: "[1]", seed: 2, model: model)
      var values = [Float](repeating: 0, count: 2 * width)
      values.withUnsafeMutableBufferPointer { CounterRandom(key: 5, step: 0).fillNormal($0) }
      func run(_ stack: AdapterStack) throws -> [Float] {
        try edited([sequence(stack, count: 2)], rows: 2, from: values)
      }
      let alone = try run(AdapterStack(one))
      #expect(try run(stack([(one, 1)])) == alone)
      #expect(try run(stack([(one, 0.3), (two, 0.7)])) == run(stack([(two, 0.7), (one, 0.3)])))
      // The first row is edited by one adapter alone.
      #expect(try run(stack([(one, 1), (last, 0.5)]))[..<width] == alone[..<width])
    }
  }

  @Test("sequences of a batch carry different lists")
  func lists() throws {
    try withModel { model in
      let (add, double) = (try adding(1, model: model), try doubling(model: model))
      let rows = try edited(
        [
          sequence(stack([(add, 1)])), sequence(stack([(add, 1), (double, 1)]), start: 1),
          sequence(AdapterStack(), start: 2),
          sequence(stack([(double, 1), (add, 2)], .sequential), start: 3),
          sequence(stack([(add, 1)]), start: 4),
        ],
        rows: 5
      )
      let firsts: [Float] = (0..<5).map { rows[$0 * width] }
      #expect(firsts == [4, 7, 3, 8, 4])
    }
  }

  @Test("the gradient of a strength below 1 is that of the sum, through edits in a row")
  func gradient() throws {
    try withModel { model in
      let chain = try adapter(["loreft", "direft"], model: model)
      let half = stack([(chain, 0.5)])
      let gradients = chain.parameters.makeGradients()
      var values = [Float](repeating: 0, count: width)
      values.withUnsafeMutableBufferPointer { CounterRandom(key: 6, step: 0).fillNormal($0) }
      let session = try EditSession(
        [sequence(half)],
        mode: .training(gradients: gradients, randomKey: 0, randomStep: 0)
      )
      let rows = FloatBuffer(count: width)
      let hidden = HiddenRows(base: rows.base, rowStride: width, width: width)
      for index in 0..<width { rows[index] = values[index] }
      try RowExchange().edit(hidden, at: site, by: session)
      // The loss is the sum of the row's numbers.
      for index in 0..<width { rows[index] = 1 }
      try RowExchange().differentiate(hidden, at: site, by: session)
      func loss(_ values: [Float]) throws -> Double {
        try edited([sequence(half)], from: values).reduce(0.0) { $0 + Double($1) }
      }
      for index in [0, 17, 63] {
        var (up, down) = (values, values)
        up[index] += 0.01
        down[index] -= 0.01
        let slope = try (loss(up) - loss(down)) / 0.02
        #expect(abs(slope - Double(rows[index])) < 2e-3)
      }
      let tensor = chain.parameters.tensor(0)
      let old = tensor[3]
      tensor[3] = old + 0.01
      let above = try loss(values)
      tensor[3] = old - 0.01
      let slope = try (above - loss(values)) / 0.02
      #expect(abs(slope - Double(gradients[3])) < 2e-3)
    }
  }

  @Test("a word is a folder, or a folder and a strength; a folder of that very name is meant first")
  func words() throws {
    #expect(try AdapterWord("runs/a").strength == 1)
    #expect(try AdapterWord("runs/a:-0.5").path == "runs/a")
    #expect(try AdapterWord("runs/a:-0.5").strength == -0.5)
    #expect(try AdapterWord("runs:b").path == "runs:b")
    for text in ["a:nan", "a:inf", "a:1e7"] {
      #expect(throws: ReFTError.self) { try AdapterWord(text) }
    }
    try withTemporaryDirectory { folder in
      let odd = folder + "/a:0.5"
      try FileManager.default.createDirectory(atPath: odd, withIntermediateDirectories: false)
      #expect(try AdapterWord(odd) == AdapterWord(odd))
      #expect(try AdapterWord(odd).strength == 1 && AdapterWord(odd + ":2").path == odd)
    }
  }
}
