// SPDX-License-Identifier: Apache-2.0
// What plugins tell of rows: the rows that the model has, and the same in a process of their own.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Collected values")
struct CollectTests {
  /// Keeps the rows of a site.
  private final class Keeper: HiddenStateEditor, RowEdit {
    let sites: Set<Site> = [Site(block: 1, component: .blockOutput)]
    let needsAllRows = true
    let sharedPrefixLimit = 0
    let tokens: [Int32] = [1, 2, 3, 4, 5, 6, 7]
    var rows: [Float] = []
    func edits(at site: Site) -> [any RowEdit] { [self] }
    func edit(_ gathered: GatheredRows) {
      rows = Array(
        UnsafeBufferPointer(start: gathered.rows, count: gathered.count * gathered.width)
      )
    }
    func differentiate(_ gradient: GatheredRows) {}
  }

  private static let batch: PackedBatch = {
    var batch = PackedBatch()
    // They begin alike: each row is told all the same.
    batch.append(ids: [5, 9, 3], labels: [-100, 9, 3])
    batch.append(ids: [5, 9, 7, 11, 2], labels: [-100, -100, 7, 11, 2])
    return batch
  }()

  @Test("are the rows of the model, with their texts and positions", arguments: [false, true])
  func rows(isIsolated: Bool) throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      let width = model.configuration.hiddenSize
      let directions = (0..<3 * width).map { Float($0 % 7) - 3 }
      try Safetensors.write(
        [NamedTensor(name: "d", shape: [3, width], values: directions)],
        metadata: [:],
        to: folder + "/d.safetensors"
      )
      let specs = try [[:], ["directions": .string(folder + "/d.safetensors#d")]].map { options in
        InterventionSpec(
          plugin: "collect",
          layers: [1],
          positions: try PositionRule("all"),
          options: options,
          isolation: isIsolated ? .process : Isolation.none
        )
      }
      let adapter = try Adapter.create(
        specs: specs,
        model: model,
        catalog: BuiltPlugins.catalog(),
        seed: 1
      )
      #expect(adapter.parameters.parameterCount == 0)
      let collector = RowCollector()
      let edits = [
        SequenceEdit(adapter: adapter, start: 0, count: 3, promptLength: 3, key: 70),
        SequenceEdit(adapter: adapter, start: 3, count: 5, promptLength: 5, key: 71),
      ]
      let runtime = ModelRuntime(model: model.frozen)
      let plain = try runtime.loss(Self.batch, editor: nil)
      let told = try runtime.loss(Self.batch, editor: EditSession(edits, collector: collector))
      expectClose(told, plain, tolerance: 1e-6)
      let keeper = Keeper()
      _ = try runtime.loss(Self.batch, editor: keeper)
      let parts = collector.parts
      try #require(parts.map(\.name) == ["interventions.0.layers.1", "interventions.1.layers.1"])
      #expect(parts[0].keys == [70, 70, 70, 71, 71, 71, 71, 71])
      #expect(parts[0].positions == [0, 1, 2, 0, 1, 2, 3, 4])
      expectClose(Array(parts[0].values.dropFirst(width)), keeper.rows, tolerance: 1e-6)
      for row in 0..<8 {
        let h = parts[0].values[row * width..<(row + 1) * width]
        let products = (0..<3).map { k in
          zip(h, directions[k * width..<(k + 1) * width]).reduce(Float(0)) { $0 + $1.0 * $1.1 }
        }
        expectClose(Array(parts[1].values[row * 3..<row * 3 + 3]), products, tolerance: 1e-3)
      }
    }
  }
}
