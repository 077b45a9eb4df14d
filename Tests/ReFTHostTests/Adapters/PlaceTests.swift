// SPDX-License-Identifier: Apache-2.0
// Heads singly, and parameters that layers, heads, ends or no two positions share.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

/// An intervention that cannot be.
struct PlaceRefusal: Sendable, CustomTestStringConvertible {
  var component = Component.valueOutput
  var positions = "all"
  var sharing = WeightSharing.positions
  var heads: [Int]?
  var tie: Set<TieAxis> = []
  var says: String
  var testDescription: String { says }
}

@Suite("Heads, ties and parameter sets")
struct PlaceTests {
  private func withModel(_ body: (LoadedModel, _ folder: String) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      try body(try LoadedModel(path: TinyModel().write(in: folder)), folder)
    }
  }

  private func adapter(_ spec: InterventionSpec, _ model: LoadedModel) throws -> Adapter {
    try Adapter.create(specs: [spec], model: model, catalog: BuiltPlugins.catalog(), seed: 3)
  }

  private func names(_ adapter: Adapter) -> [String] {
    adapter.parameters.infos.map { String($0.name.dropFirst("interventions.0.layers.".count)) }
  }

  /// What becomes of rows of zeros.
  private func edited(
    _ adapter: Adapter,
    _ site: Site,
    width: Int,
    rows count: Int,
    promptLength: Int? = nil
  ) throws -> [Float] {
    let rows = FloatBuffer(count: count * width)
    let length = promptLength ?? count
    try RowExchange().edit(
      HiddenRows(base: rows.base, rowStride: width, width: width),
      at: site,
      by: EditSession(
        [SequenceEdit(adapter: adapter, start: 0, count: count, promptLength: length)]
      )
    )
    return Array(rows.values)
  }

  /// Gives each tensor a number of its own, 1, 2 and so on.
  private func number(_ adapter: Adapter) {
    for index in adapter.parameters.infos.indices {
      adapter.parameters.tensor(index).update(repeating: Float(index + 1))
    }
  }

  @Test("an edit of heads changes their numbers alone, each with parameters of its own")
  func heads() throws {
    try withModel { model, _ in
      // 4 query heads and 2 key-value heads of 16 numbers.
      let spec = InterventionSpec(
        plugin: "additive-steering",
        layers: [0, 1],
        component: .attentionValueOutput,
        positions: try PositionRule("all"),
        heads: [1, 3]
      )
      let adapter = try adapter(spec, model)
      let expected = [(0, 1), (0, 3), (1, 1), (1, 3)].map { "\($0).heads.\($1).vector" }
      #expect(names(adapter) == expected)
      #expect(adapter.parameters.infos.allSatisfy { $0.shape == [16] })
      number(adapter)
      let site = Site(block: 1, component: .attentionValueOutput)
      let row = try edited(adapter, site, width: 64, rows: 1)
      let firsts: [Float] = (0..<4).map { row[$0 * 16] }
      #expect(firsts == [0, 3, 0, 4])
      #expect(row[31] == 3 && row[32] == 0)
    }
  }

  @Test("ties share one parameter set over layers, heads or both, and gradients accumulate")
  func ties() throws {
    try withModel { model, _ in
      func spec(_ tie: Set<TieAxis>) throws -> InterventionSpec {
        InterventionSpec(
          plugin: "additive-steering",
          layers: [0, 1],
          component: .valueOutput,
          positions: try PositionRule("all"),
          heads: [0, 1],
          tie: tie
        )
      }
      #expect(
        try names(adapter(spec([.layers]), model)) == ["all.heads.0.vector", "all.heads.1.vector"]
      )
      #expect(
        try names(adapter(spec([.heads]), model)) == ["0.heads.all.vector", "1.heads.all.vector"]
      )
      let one = try adapter(spec([.layers, .heads]), model)
      #expect(names(one) == ["all.heads.all.vector"])
      let gradients = one.parameters.makeGradients()
      let session = try EditSession(
        [SequenceEdit(adapter: one, start: 0, count: 3, promptLength: 3)],
        mode: .training(gradients: gradients, randomKey: 0, randomStep: 0)
      )
      let rows = FloatBuffer(count: 3 * 32)
      let hidden = HiddenRows(base: rows.base, rowStride: 32, width: 32)
      let sites = [0, 1].map { Site(block: $0, component: .valueOutput) }
      for site in sites { try RowExchange().edit(hidden, at: site, by: session) }
      rows.values.update(repeating: 1)
      for site in sites.reversed() {
        try RowExchange().differentiate(hidden, at: site, by: session)
      }
      // 2 layers, 2 heads, 3 rows.
      #expect(gradients[0] == 12)
    }
  }

  @Test("untied, each location of the rule has its own; generated tokens go with the last")
  func untied() throws {
    try withModel { model, _ in
      let spec = InterventionSpec(
        plugin: "additive-steering",
        layers: [1],
        positions: try PositionRule("f2+l2+decode"),
        sharing: WeightSharing.none
      )
      let adapter = try adapter(spec, model)
      let expected = [0, 1, 2, 3].map { "1.positions.\($0).vector" }
      #expect(names(adapter) == expected)
      number(adapter)
      let site = Site(block: 1, component: .blockOutput)
      func firsts(_ count: Int, _ length: Int) throws -> [Float] {
        let rows = try edited(adapter, site, width: 64, rows: count, promptLength: length)
        return (0..<count).map { rows[$0 * 64] }
      }
      #expect(try firsts(7, 6) == [1, 2, 0, 0, 3, 4, 4])
      #expect(try firsts(4, 2) == [1, 4, 4, 4])
    }
  }

  @Test("weights scale the change of a position, and its gradient")
  func weights() throws {
    try withModel { model, _ in
      let spec = InterventionSpec(
        plugin: "additive-steering",
        layers: [0],
        positions: try PositionRule("f1*0.5+l1+decode*-2")
      )
      let adapter = try adapter(spec, model)
      number(adapter)
      let site = Site(block: 0, component: .blockOutput)
      let rows = try edited(adapter, site, width: 64, rows: 5, promptLength: 3)
      let firsts: [Float] = (0..<5).map { rows[$0 * 64] }
      #expect(firsts == [0.5, 0, 1, -2, -2])
      let gradients = adapter.parameters.makeGradients()
      let session = try EditSession(
        [SequenceEdit(adapter: adapter, start: 0, count: 5, promptLength: 3)],
        mode: .training(gradients: gradients, randomKey: 0, randomStep: 0)
      )
      let buffer = FloatBuffer(count: 5 * 64)
      let hidden = HiddenRows(base: buffer.base, rowStride: 64, width: 64)
      try RowExchange().edit(hidden, at: site, by: session)
      buffer.values.update(repeating: 1)
      try RowExchange().differentiate(hidden, at: site, by: session)
      #expect(gradients[0] == -2.5)
      #expect(buffer[0] == 1)
    }
  }

  @Test("come back from the adapter folder as they were")
  func roundTrip() throws {
    try withModel { model, folder in
      let specs = [
        InterventionSpec(
          plugin: "loreft",
          layers: [0, 1],
          component: .queryOutput,
          positions: try PositionRule("f2*0.5+l1+decode"),
          sharing: WeightSharing.none,
          heads: [0, 2],
          tie: [.layers]
        ),
        InterventionSpec(plugin: "red", layers: [0], positions: try PositionRule("random:2@9")),
      ]
      let made = try Adapter.create(
        specs: specs,
        model: model,
        catalog: BuiltPlugins.catalog(),
        seed: 3
      )
      try made.save(to: folder + "/a")
      let loaded = try Adapter.load(
        path: folder + "/a",
        model: model,
        catalog: BuiltPlugins.catalog()
      )
      #expect(loaded.specs == made.specs)
      #expect(loaded.parameters.infos == made.parameters.infos)
      #expect(try AdapterSummary(path: folder + "/a").specs.map(\.heads) == [[0, 2], nil])
      let name = "interventions.0.layers.all.heads.2.positions.1.source.bias"
      let index = try #require(loaded.parameters.index(of: name))
      #expect(Array(loaded.parameters.tensor(index)) == Array(made.parameters.tensor(index)))
    }
  }

  @Test(
    "are refused where they cannot be, with what can",
    arguments: [
      PlaceRefusal(
        component: .blockOutput,
        heads: [0],
        says: "block_output is not made of heads"
      ),
      PlaceRefusal(
        component: .attentionOutput,
        heads: [0],
        says: "choose query_output, key_output"
      ),
      PlaceRefusal(heads: [2], says: "value_output has 2 heads, 0 to 1"),
      PlaceRefusal(component: .queryOutput, heads: [1, 1], says: "named once at most"),
      PlaceRefusal(heads: [], says: "heads is []"),
      PlaceRefusal(tie: [.heads], says: "tie names heads, and there are none"),
      PlaceRefusal(sharing: .none, says: "'all' are another number for every prompt"),
      PlaceRefusal(positions: "decode", sharing: .none, says: "write a fixed list"),
    ]
  )
  func refuses(_ example: PlaceRefusal) throws {
    try withModel { model, _ in
      let spec = InterventionSpec(
        plugin: "loreft",
        layers: [0],
        component: example.component,
        positions: try PositionRule(example.positions),
        sharing: example.sharing,
        heads: example.heads,
        tie: example.tie
      )
      let error = #expect(throws: ReFTError.self) { try adapter(spec, model) }
      #expect(error?.code == .badConfiguration)
      #expect(error?.message.contains(example.says) == true, "\(error?.message ?? "")")
    }
  }
}
