// SPDX-License-Identifier: Apache-2.0
// Traces: what was changed, where, by how much; and that looking changes nothing.

import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Traces of edits")
struct EditTraceTests {
  private let width = 64
  private let site = Site(block: 0, component: .blockOutput)

  private func adding(
    _ value: Float,
    positions: String,
    model: LoadedModel
  ) throws -> Adapter {
    let adapter = try Adapter.create(
      specs: [
        InterventionSpec(
          plugin: "additive-steering",
          layers: [0],
          positions: PositionRule(positions)
        )
      ],
      model: model,
      catalog: BuiltPlugins.catalog(),
      seed: 1
    )
    adapter.parameters.tensor(0).update(repeating: value)
    return adapter
  }

  private func edit(_ session: EditSession, rows count: Int) throws -> [Float] {
    let rows = FloatBuffer(count: count * width)
    rows.values.update(repeating: 2)
    try RowExchange().edit(
      HiddenRows(base: rows.base, rowStride: width, width: width),
      at: site,
      by: session
    )
    return Array(rows.values)
  }

  @Test("tell each token of a site once, with what all edits make of it together")
  func records() throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      let (first, all) = (
        try adding(1, positions: "[0]*0.5", model: model),
        try adding(-3, positions: "all", model: model)
      )
      let sequences = [
        SequenceEdit(
          adapters: AdapterStack([.init(first), .init(all)]),
          start: 0,
          count: 2,
          promptLength: 2,
          key: 7
        ),
        SequenceEdit(adapter: first, start: 2, count: 2, promptLength: 2, key: 3),
      ]
      let trace = EditTrace()
      let traced = try edit(EditSession(sequences, trace: trace), rows: 4)
      #expect(try traced == edit(EditSession(sequences), rows: 4))
      let changes = trace.sorted
      #expect(changes.map(\.sequence) == [3, 7, 7])
      #expect(changes.map(\.position) == [0, 0, 1])
      // Rows of 64 twos: a difference of c in each number is 8 |c|, beside a length of 16.
      #expect(changes.map(\.change) == [4, 20, 24])
      #expect(changes.map(\.norm) == [16, 16, 16])
      let summary = try #require(trace.summaries.first)
      #expect(trace.summaries.count == 1 && summary.site == site && summary.tokens == 3)
      #expect(summary.mean == 1 && summary.largest == 1.5)
    }
  }

  @Test("go on with the tokens that are decoded")
  func decodes() throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      let adapter = try adding(1, positions: "decode", model: model)
      let trace = EditTrace()
      let session = try EditSession(
        [SequenceEdit(adapter: adapter, start: 0, count: 1, promptLength: 4, position: 4)],
        trace: trace
      )
      for step in 0..<3 {
        if step > 0 { session.advance() }
        _ = try edit(session, rows: 1)
      }
      #expect(trace.sorted.map(\.position) == [4, 5, 6])
    }
  }
}
