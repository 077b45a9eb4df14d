// SPDX-License-Identifier: Apache-2.0
// Edit sessions: which rows they change, in which order, and how gradients come back.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Edit sessions")
struct EditSessionTests {
  private let site = Site(block: 0, component: .blockOutput)
  private let width = 64

  private func withModel(_ body: (LoadedModel) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      try body(try LoadedModel(path: TinyModel().write(in: folder)))
    }
  }

  private func adapter(
    _ specs: [(plugin: String, positions: String, options: [String: OptionValue])],
    shared: Bool = true,
    model: LoadedModel,
    seed: UInt64 = 1,
    catalog: PluginCatalog? = nil
  ) throws -> Adapter {
    try Adapter.create(
      specs: specs.map {
        InterventionSpec(
          plugin: $0.plugin,
          layers: [0],
          positions: try PositionRule($0.positions),
          shareWeights: shared,
          options: $0.options
        )
      },
      model: model,
      catalog: catalog ?? BuiltPlugins.catalog(),
      seed: seed
    )
  }

  /// An adapter that adds `value` to every number of its rows.
  private func steering(
    _ value: Float,
    positions: String,
    shared: Bool = true,
    model: LoadedModel
  ) throws -> Adapter {
    let adapter = try adapter(
      [("additive-steering", positions, [:])],
      shared: shared,
      model: model
    )
    for index in adapter.parameters.infos.indices {
      adapter.parameters.tensor(index).update(repeating: value * Float(index + 1))
    }
    return adapter
  }

  private func edited(
    _ sequences: [SequenceEdit],
    rows count: Int,
    rowOfToken: [Int32]? = nil
  ) throws -> [Float] {
    let rows = FloatBuffer(count: count * width)
    let session = try EditSession(sequences)
    try (rowOfToken ?? []).withUnsafeBufferPointer { map in
      try RowExchange().edit(
        HiddenRows(
          base: rows.base,
          rowStride: width,
          width: width,
          rowOfToken: rowOfToken == nil ? nil : map.baseAddress
        ),
        at: site,
        by: session
      )
    }
    return (0..<count).map { rows[$0 * width] }
  }

  @Test("change the rows of each sequence by its own adapter, and no others")
  func severalAdapters() throws {
    try withModel { model in
      let one = try steering(1, positions: "f1+l1", model: model)
      let two = try steering(10, positions: "all", model: model)
      let values = try edited(
        [
          SequenceEdit(adapter: one, start: 0, count: 5, promptLength: 4),
          SequenceEdit(adapter: nil, start: 5, count: 2, promptLength: 2),
          SequenceEdit(adapter: two, start: 7, count: 3, promptLength: 2),
          SequenceEdit(adapter: one, start: 10, count: 2, promptLength: 2),
        ],
        rows: 12
      )
      #expect(values == [1, 0, 0, 1, 0, 0, 0, 10, 10, 0, 1, 1])
    }
  }

  @Test("give prefix and suffix their own parameters where weights are not shared")
  func ends() throws {
    try withModel { model in
      let apart = try steering(1, positions: "f1+l2", shared: false, model: model)
      #expect(
        try edited([SequenceEdit(adapter: apart, start: 0, count: 6, promptLength: 6)], rows: 6)
          == [1, 0, 0, 0, 2, 2]
      )
    }
  }

  @Test("edit generated tokens only where the rule says so, in training and in decoding alike")
  func decoded() throws {
    try withModel { model in
      let rule = try steering(1, positions: "l1+decode", model: model)
      let plain = try steering(1, positions: "l1", model: model)
      #expect(
        try edited([SequenceEdit(adapter: rule, start: 0, count: 6, promptLength: 4)], rows: 6)
          == [0, 0, 0, 1, 1, 1]
      )
      let step = SequenceEdit(adapter: rule, start: 0, count: 1, promptLength: 4, position: 7)
      #expect(try edited([step], rows: 1) == [1])
      var other = step
      other.adapters = AdapterStack(plain)
      #expect(try EditSession([other]).sites.isEmpty)
      #expect(try EditSession([other]).isEmpty)
    }
  }

  @Test("go on to the next decoded tokens as new ones would begin there")
  func goesOn() throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      // Adds what the plugin is told of each row to the row's first number.
      let told =
        "for(int64_t i=0;i<args->x.rows;i++)((float*)args->y.data)[i*args->y.row_stride]+="
        + "(float)(1000*args->rows->position[i]+100*args->rows->location[i]"
        + "+10*args->rows->length[i]+args->rows->example[i])"
      _ = try CompiledPlugin.make(["FORWARD": told], in: folder)
      let catalog = PluginCatalog(
        extraPaths: [folder],
        environment: [:],
        executableFolder: "/nonexistent",
        loader: { file, _ throws(ReFTError) in try InProcessLoader.load(file) }
      )
      let adapter = try adapter([("plain", "none+decode", [:])], model: model, catalog: catalog)
      func edits(_ step: Int) -> [SequenceEdit] {
        [(0, 4, 5), (1, 2, 9)].map { start, length, position in
          SequenceEdit(
            adapter: adapter,
            start: start,
            count: 1,
            promptLength: length,
            position: position + step
          )
        }
      }
      let session = try EditSession(edits(0))
      for step in 0..<3 {
        if step > 0 { session.advance() }
        let rows = FloatBuffer(count: 2 * width)
        try RowExchange().edit(
          HiddenRows(base: rows.base, rowStride: width, width: width),
          at: site,
          by: session
        )
        #expect(try edited(edits(step), rows: 2) == [rows[0], rows[width]])
        #expect(rows[0] > 1000 * Float(5 + step))
      }
    }
  }

  @Test("edit a prompt that arrives in pieces as if it came at once")
  func pieces() throws {
    try withModel { model in
      let rule = try steering(1, positions: "f2+l2", model: model)
      var values: [Float] = []
      for (position, count) in [(0, 1), (1, 4), (5, 2)] {
        values += try edited(
          [
            SequenceEdit(
              adapter: rule,
              start: 0,
              count: count,
              promptLength: 7,
              position: position
            )
          ],
          rows: count
        )
      }
      #expect(values == [1, 1, 0, 0, 0, 1, 1])
    }
  }

  @Test("leave out rows that are not computed, and edit a shared row once")
  func missingAndShared() throws {
    try withModel { model in
      let rule = try steering(1, positions: "f2+l1", model: model)
      let values = try edited(
        [
          SequenceEdit(adapter: rule, start: 0, count: 4, promptLength: 4),
          SequenceEdit(adapter: rule, start: 4, count: 4, promptLength: 4),
        ],
        rows: 4,
        rowOfToken: [0, 1, -1, 2, 0, 1, -1, 3]
      )
      #expect(values == [1, 1, 1, 1])
    }
  }

  @Test("apply interventions of one site in the order of the configuration")
  func order() throws {
    try withModel { model in
      let double: [String: OptionValue] = ["rank": .int(64)]
      // LobiReFT with R = I and b = 1 adds 1; ConsReFT with R = I and b = 5 sets to 5.
      for (first, second, expected) in [
        ("lobireft", "consreft", Float(5)), ("consreft", "lobireft", 6),
      ] {
        let adapter = try adapter(
          [(first, "all", double), (second, "all", double)],
          model: model
        )
        for (index, info) in adapter.parameters.infos.enumerated() {
          let tensor = adapter.parameters.tensor(index)
          if info.shape.count == 2 {
            for place in tensor.indices { tensor[place] = place % 65 == 0 ? 1 : 0 }
          } else {
            let plugin = info.name.hasPrefix("interventions.0") ? first : second
            tensor.update(repeating: plugin == "lobireft" ? 1 : 5)
          }
        }
        let values = try edited(
          [SequenceEdit(adapter: adapter, start: 0, count: 1, promptLength: 1)],
          rows: 1
        )
        #expect(values == [expected])
      }
    }
  }

  @Test("call plugins that mix rows once for each sequence")
  func mixing() throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      _ = try CompiledPlugin.make(["MEAN": "1", "CAPS": "0"], in: folder)
      let catalog = CompiledPlugin.catalog(of: folder)
      let mixing = try adapter([("plain", "all", [:])], model: model, catalog: catalog)
      let sequences = [
        SequenceEdit(adapter: mixing, start: 0, count: 3, promptLength: 3),
        SequenceEdit(adapter: mixing, start: 3, count: 2, promptLength: 2),
      ]
      #expect(try EditSession(sequences).needsAllRows)
      #expect(try edited(sequences, rows: 5) == [3, 3, 3, 2, 2])
      #expect(try EditSession(sequences).sharedPrefixLimit == 0)
    }
  }

  @Test("say how many leading tokens are edited alike")
  func sharedPrefix() throws {
    try withModel { model in
      let ends = try steering(1, positions: "f2+l1", model: model)
      let drops = try adapter(
        [("loreft", "f2+l1", ["dropout": .float(0.1)])],
        model: model
      )
      func limit(_ adapters: [Adapter?], prompts: [Int], isTraining: Bool = false) throws -> Int {
        let sequences = zip(adapters, prompts).enumerated().map { index, pair in
          SequenceEdit(
            adapter: pair.0,
            start: index * 20,
            count: pair.1 + 3,
            promptLength: pair.1
          )
        }
        guard isTraining, let first = adapters[0] else {
          return try EditSession(sequences).sharedPrefixLimit
        }
        let mode = EditSession.Mode.training(
          gradients: first.parameters.makeGradients(),
          randomKey: 0,
          randomStep: 0
        )
        return try EditSession(sequences, mode: mode).sharedPrefixLimit
      }
      #expect(try limit([ends], prompts: [9]) == Int.max)
      #expect(try limit([nil, nil], prompts: [9, 4]) == Int.max)
      #expect(try limit([ends, ends], prompts: [9, 9]) == Int.max)
      #expect(try limit([ends, ends], prompts: [9, 6]) == 5)
      #expect(try limit([ends, ends], prompts: [9, 3]) == 1)
      #expect(try limit([ends, nil], prompts: [9, 9]) == 0)
      #expect(try limit([drops, drops], prompts: [9, 9]) == Int.max)
      #expect(try limit([drops, drops], prompts: [9, 9], isTraining: true) == 0)
    }
  }

  @Test("share no token in training where the plugin does not promise to draw nothing")
  func undeclaredRandomness() throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      for (macros, limit) in [([:], 0), (["DETERMINISTIC": "1"], Int.max)] {
        let place = folder + "/\(limit)"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        let id = "\"org.test.plain\(macros.count)\""
        _ = try CompiledPlugin.make(macros.merging(["ID": id]) { $1 }, in: place)
        let catalog = PluginCatalog(
          extraPaths: [place],
          environment: [:],
          executableFolder: "/nonexistent",
          loader: { file, _ throws(ReFTError) in try InProcessLoader.load(file) }
        )
        let edits = try adapter(
          [("plain\(macros.count)", "f2", [:])],
          model: model,
          catalog: catalog
        )
        let sequences = [0, 20].map {
          SequenceEdit(adapter: edits, start: $0, count: 12, promptLength: 9)
        }
        let mode = EditSession.Mode.training(
          gradients: edits.parameters.makeGradients(),
          randomKey: 0,
          randomStep: 0
        )
        #expect(try EditSession(sequences, mode: mode).sharedPrefixLimit == limit)
        #expect(try EditSession(sequences).sharedPrefixLimit == Int.max)
      }
    }
  }

  @Test(
    "know of an isolated plugin too whether it may draw",
    arguments: [Isolation.none, .process]
  )
  func promiseAcrossProcesses(isolation: Isolation) throws {
    let plugin = try BuiltPlugins.catalog().find("loreft", isolation: isolation)
    let site = PluginSite(dim: 8, layer: 0, component: "block_output")
    for (dropout, depends) in [(0.0, false), (0.1, true)] {
      let instance = try plugin.makeInstance(at: site, options: ["dropout": .float(dropout)])
      #expect(instance.dependsOnSequence == depends)
    }
  }

  @Test("tell a runtime on a device of kernels, parameters, gradients and places")
  func deviceEdits() throws {
    try withModel { model in
      let edits = try adapter(
        [("red", "f1", [:]), ("loreft", "l2", ["dropout": .float(0.5)])],
        model: model
      )
      let gradients = edits.parameters.makeGradients()
      let session = try EditSession(
        [SequenceEdit(adapter: edits, start: 0, count: 9, promptLength: 9)],
        mode: .training(gradients: gradients, randomKey: 0, randomStep: 0)
      )
      let list = session.edits(at: site).compactMap { $0 as? any DeviceRowEdit }
      try #require(list.count == 2)
      #expect(list.map(\.parameterOffsets) == [[0, 80], [160, 432, 704]])
      for edit in list {
        #expect(edit.isTraining)
        #expect(edit.parameters === edits.parameters)
        #expect(edit.gradients?.baseAddress == gradients.base)
      }
      #expect(list[1].origins.positions == [7, 8] && list[1].origins.lengths == [9, 9])
      let programs = try list.map { try $0.deviceProgram()?.plugin }
      #expect(programs == ["red", nil])
    }
  }

  @Test("let copies of parameters grow old only when somebody may have written them")
  func revision() {
    let store = ParameterStore([ParameterInfo(name: "a", shape: [3])])
    let first = store.revision
    #expect(store.deviceValues.count == 32 && store.makeGradients().count == 32)
    #expect(store.revision == first)
    store.tensor(0)[1] = 2
    let second = store.revision
    #expect(second > first && store.deviceValues[1] == 2)
    store.values[0] = 1
    #expect(store.revision > second)
  }

  @Test("drop out the same numbers however a batch is split, and none in inference")
  func dropout() throws {
    try withModel { model in
      let adapter = try adapter(
        [("loreft", "all", ["rank": .int(2), "dropout": .float(0.5)])],
        model: model
      )
      func run(_ sequences: [SequenceEdit], key: UInt64 = 5, step: UInt64 = 3) throws -> [Float] {
        let count = sequences.map { $0.start + $0.count }.max() ?? 0
        let rows = FloatBuffer([Float](repeating: 1, count: count * width))
        let session = try EditSession(
          sequences,
          mode: .training(
            gradients: adapter.parameters.makeGradients(),
            randomKey: key,
            randomStep: step
          )
        )
        try RowExchange().edit(
          HiddenRows(base: rows.base, rowStride: width, width: width),
          at: site,
          by: session
        )
        return Array(rows.values)
      }
      func sequence(_ example: Int32, start: Int) -> SequenceEdit {
        SequenceEdit(
          adapter: adapter,
          start: start,
          count: 3,
          promptLength: 3,
          example: example
        )
      }
      let together = try run([sequence(7, start: 0), sequence(8, start: 3)])
      let half = try run([sequence(8, start: 0)])
      expectIdentical(half, together[(3 * width)...])
      #expect(together[..<width] != together[width..<2 * width])
      #expect(try run([sequence(7, start: 0)]) != half)
      #expect(try run([sequence(8, start: 0)], step: 4) != half)
      #expect(try run([sequence(8, start: 0)], key: 6) != half)
      let zeros = together.count { $0 == 0 }
      #expect((130...254).contains(zeros), "\(zeros) of \(together.count)")

      let rows = FloatBuffer([Float](repeating: 1, count: 3 * width))
      let inference = try EditSession([sequence(7, start: 0)])
      try RowExchange().edit(
        HiddenRows(base: rows.base, rowStride: width, width: width),
        at: site,
        by: inference
      )
      #expect(!rows.values.contains(0))
    }
  }

  @Test("carry gradients back to rows and parameters, whatever the batch is made of")
  func gradients() throws {
    try withModel { model in
      let adapter = try adapter(
        [("loreft", "f1+l1", ["rank": .int(3)])],
        shared: false,
        model: model
      )
      var generator = SeededGenerator(seed: 8)
      let count = 9
      let x = generator.normals(count * width)
      let weights = generator.normals(count * width)
      let sequences = [
        SequenceEdit(adapter: adapter, start: 0, count: 5, promptLength: 4),
        SequenceEdit(adapter: adapter, start: 5, count: 4, promptLength: 3),
      ]
      func pass(
        _ sequences: [SequenceEdit],
        _ gradients: FloatBuffer
      ) throws -> (y: [Float], dx: [Float]) {
        let (rows, back) = (FloatBuffer(x), FloatBuffer(weights))
        let session = try EditSession(
          sequences,
          mode: .training(gradients: gradients, randomKey: 0, randomStep: 0)
        )
        try RowExchange().edit(
          HiddenRows(base: rows.base, rowStride: width, width: width),
          at: site,
          by: session
        )
        try RowExchange().differentiate(
          HiddenRows(base: back.base, rowStride: width, width: width),
          at: site,
          by: session
        )
        return (Array(rows.values), Array(back.values))
      }
      let whole = adapter.parameters.makeGradients()
      let parts = adapter.parameters.makeGradients()
      let all = try pass(sequences, whole)
      let first = try pass([sequences[0]], parts)
      let second = try pass([sequences[1]], parts)
      expectIdentical(all.y[..<(5 * width)], first.y[..<(5 * width)])
      expectIdentical(all.y[(5 * width)...], second.y[(5 * width)...])
      expectIdentical(all.dx[..<(5 * width)], first.dx[..<(5 * width)])
      expectClose(whole.values, parts.values, tolerance: 1e-5, relative: 1e-5)
      // Rows without an edit pass gradients through as they are.
      expectIdentical(all.dx[width..<3 * width], weights[width..<3 * width])
      #expect(all.dx[..<width] != weights[..<width])
      #expect(whole.values.contains { $0 != 0 })
    }
  }

  @Test("refuse two adapters in training, another layout and rows of another width")
  func refusals() throws {
    try withModel { model in
      let one = try steering(1, positions: "all", model: model)
      let two = try steering(2, positions: "all", model: model)
      let sequences = [one, two].enumerated().map {
        SequenceEdit(adapter: $1, start: $0, count: 1, promptLength: 1)
      }
      func training(_ gradients: FloatBuffer) -> EditSession.Mode {
        .training(gradients: gradients, randomKey: 0, randomStep: 0)
      }
      let several = #expect(throws: ReFTError.self) {
        try EditSession(sequences, mode: training(one.parameters.makeGradients()))
      }
      #expect(several?.code == .usage)
      let layout = #expect(throws: ReFTError.self) {
        try EditSession([sequences[0]], mode: training(FloatBuffer(count: 3)))
      }
      #expect(layout?.message.contains("has 3 values and the adapter 80") == true)
      let rows = FloatBuffer(count: 32)
      let narrow = HiddenRows(base: rows.base, rowStride: 32, width: 32)
      let session = try EditSession([sequences[0]])
      #expect(throws: ReFTError.self) { try RowExchange().edit(narrow, at: site, by: session) }
      #expect(throws: ReFTError.self) {
        try RowExchange().differentiate(narrow, at: site, by: session)
      }
      withExtendedLifetime(rows) {}
    }
  }
}
