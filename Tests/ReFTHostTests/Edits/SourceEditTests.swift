// SPDX-License-Identifier: Apache-2.0
// Plugins that read what their layer read: numbers by hand, gradients, other processes, and refusals.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Plugins that read their layer's input")
struct SourceEditTests {
  /// What a test needs: a tiny model, and the catalogue of a folder with the plugin.
  private struct Bench {
    let model: LoadedModel
    let isolated: PluginCatalog
    let inside: PluginCatalog
    let plugin: String
    let name: String

    func adapter(
      _ component: Component,
      layers: [Int] = [1],
      isIsolated: Bool = false,
      positions: String = "all",
      below: Component? = nil,
      twice: Bool = false
    ) throws -> Adapter {
      func spec(_ component: Component, _ layers: [Int]) throws -> InterventionSpec {
        InterventionSpec(
          plugin: name,
          layers: layers,
          component: component,
          positions: try PositionRule(positions)
        )
      }
      var specs = [try spec(component, layers)]
      if twice { specs.append(specs[0]) }
      if let below { specs.append(try spec(below, [0])) }
      let adapter = try Adapter.create(
        specs: specs,
        model: model,
        catalog: isIsolated ? isolated : inside,
        seed: 1
      )
      var random = SeededGenerator(seed: 5)
      for index in adapter.parameters.infos.indices {
        let tensor = adapter.parameters.tensor(index)
        for place in tensor.indices { tensor[place] = 0.1 * random.normal() }
      }
      return adapter
    }

    func session(_ adapter: Adapter, gradients: FloatBuffer? = nil) throws -> EditSession {
      let edits = [SequenceEdit(adapter: adapter, start: 0, count: 6, promptLength: 4)]
      guard let gradients else { return try EditSession(edits) }
      return try EditSession(
        edits,
        mode: .training(gradients: gradients, randomKey: 1, randomStep: 0)
      )
    }
  }

  private static let batch: PackedBatch = {
    var batch = PackedBatch()
    batch.append(ids: [5, 9, 3, 7, 11, 2], labels: [-100, -100, -100, 7, 11, 2])
    return batch
  }()

  private func withBench(_ name: String = "source", _ body: (Bench) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      let plugin = "\(folder)/lib\(name).so"
      try CompiledLibrary.run([
        "cc", "-shared", "-fPIC", "-fvisibility=hidden", "-O1", "-w", "-std=gnu17", "-I",
        CompiledLibrary.include, Fixture.path("plugins/\(name).c"), "-o", plugin, "-lm",
      ])
      let worker = try #require(BuiltPlugins.folder) + "/reft-plugin-worker"
      func catalog(_ load: @escaping PluginCatalog.Loader) -> PluginCatalog {
        PluginCatalog(
          extraPaths: [folder],
          environment: [:],
          executableFolder: "/nonexistent",
          loader: load
        )
      }
      try body(
        Bench(
          model: try LoadedModel(path: TinyModel().write(in: folder)),
          isolated: catalog { file, _ throws(ReFTError) in
            try IsolatedLoader.load(file, settings: IsolationSettings(workerPath: worker))
          },
          inside: catalog { file, _ throws(ReFTError) in try InProcessLoader.load(file) },
          plugin: plugin,
          name: name
        )
      )
    }
  }

  /// The same edit in Swift: x + b (a · s).
  private final class ByHand: RowEdit {
    let tokens: [Int32] = [0, 1, 2, 3]
    let needsSource = true
    let (down, up): ([Float], [Float])

    init(_ adapter: Adapter) {
      down = Array(adapter.parameters.tensor(0))
      up = Array(adapter.parameters.tensor(1))
    }

    func edit(_ rows: GatheredRows) throws {
      let source = try #require(rows.source)
      for row in 0..<rows.count {
        let read = source + row * rows.sourceWidth
        let sum = down.indices.reduce(Float(0)) { $0 + down[$1] * read[$1] }
        for place in up.indices { rows.rows[row * rows.width + place] += up[place] * sum }
      }
    }

    func differentiate(_ gradient: GatheredRows) {}
  }

  private final class One: HiddenStateEditor {
    let sites: Set<Site>
    let needsAllRows = false
    let sharedPrefixLimit = 0
    let edit: any RowEdit
    init(_ site: Site, _ edit: any RowEdit) { (sites, self.edit) = ([site], edit) }
    func edits(at site: Site) -> [any RowEdit] { [edit] }
  }

  static let served: [Component] = [.blockOutput, .queryOutput, .attentionOutput]

  @Test("compute what the same edit in Swift computes", arguments: served)
  func byHand(component: Component) throws {
    try withBench { bench in
      let adapter = try bench.adapter(component)
      let runtime = ModelRuntime(model: bench.model.frozen)
      let plain = try runtime.loss(Self.batch, editor: nil)
      let through = try runtime.loss(Self.batch, editor: bench.session(adapter))
      let hand = try runtime.loss(
        Self.batch,
        editor: One(Site(block: 1, component: component), ByHand(adapter))
      )
      expectClose(through, hand, tolerance: 1e-5)
      // Only what the layer read differs between a plugin that reads it and one that reads its rows.
      #expect(zip(through, plain).contains { abs($0 - $1) > 1e-3 })
    }
  }

  @Test("have the gradients that differences of the model's loss say", arguments: served)
  func gradients(component: Component) throws {
    try withBench { bench in try checkGradients(bench, try bench.adapter(component)) }
  }

  static let wide: [Component] = [
    .blockOutput, .queryOutput, .keyOutput, .valueOutput, .attentionOutput, .mlpActivation,
    .mlpOutput,
  ]

  @Test("of ABI 1.1 read rows of any width and carry gradients to edits below", arguments: wide)
  func gradientsOfWideSources(component: Component) throws {
    try withBench("wide") { bench in
      let adapter = try bench.adapter(component, below: .blockOutput)
      #expect(adapter.gradientNotes.isEmpty)
      let width = bench.model.configuration.sourceWidth(of: component)
      #expect(adapter.parameters.infos[0].shape == [width])
      try checkGradients(bench, adapter)
      let results = try [false, true].map { isIsolated in
        let adapter = try bench.adapter(component, isIsolated: isIsolated, below: .blockOutput)
        let gradients = adapter.parameters.makeGradients()
        _ = try ModelRuntime(model: bench.model.frozen).lossAndGradient(
          Self.batch,
          editor: bench.session(adapter, gradients: gradients),
          scale: 1
        )
        return Array(gradients.values)
      }
      expectIdentical(results[0], results[1])
    }
  }

  @Test("of ABI 1.1 give as much of that gradient as their strength says, in a row and traced")
  func strength() throws {
    try withBench("wide") { bench in
      let both = try bench.adapter(.mlpOutput, twice: true)
      let (d, width) = (64, bench.model.configuration.sourceWidth(of: .mlpOutput) ?? 0)
      var random = SeededGenerator(seed: 9)
      let (source, slopes) = (random.normals(2 * width), random.normals(2 * d))
      for (strength, isTraced) in [(1, false), (0.5, false), (1, true), (0.5, true)] {
        let found = try sourceGradient(both, Float(strength), isTraced, source, slopes)
        // y = x + strength · Σ b tanh(a · s)
        for row in 0..<2 {
          var expected = [Double](repeating: 0, count: width)
          for edit in 0..<2 {
            let a = both.parameters.tensor(2 * edit).map { Double($0) }
            let b = both.parameters.tensor(2 * edit + 1).map { Double($0) }
            let dot = (0..<width).reduce(0.0) { $0 + a[$1] * Double(source[row * width + $1]) }
            let read = tanh(dot)
            let sum = (0..<d).reduce(0.0) { $0 + b[$1] * Double(slopes[row * d + $1]) }
            for j in a.indices { expected[j] += strength * sum * (1 - read * read) * a[j] }
          }
          let own = Array(found[row * width..<(row + 1) * width])
          expectClose(own, expected.map { Float($0) }, tolerance: 1e-5)
        }
      }
    }
  }

  /// d loss / d source of two rows whose edited numbers have the slopes d loss / d y.
  private func sourceGradient(
    _ adapter: Adapter,
    _ strength: Float,
    _ isTraced: Bool,
    _ source: [Float],
    _ slopes: [Float]
  ) throws -> [Float] {
    let stack = AdapterStack([AdapterStack.Part(adapter, strength: strength)])
    let session = try EditSession(
      [SequenceEdit(adapters: stack, start: 0, count: 2, promptLength: 2)],
      mode: .training(gradients: adapter.parameters.makeGradients(), randomKey: 1, randomStep: 0),
      trace: isTraced ? EditTrace() : nil
    )
    func rows(_ buffer: FloatBuffer) -> HiddenRows {
      let width = buffer.count / 2
      return HiddenRows(base: buffer.base, rowStride: width, width: width)
    }
    let (hidden, read) = (FloatBuffer(count: slopes.count), FloatBuffer(count: source.count))
    for (index, value) in source.enumerated() { read[index] = value }
    let site = Site(block: 1, component: .mlpOutput)
    try RowExchange().edit(rows(hidden), source: rows(read), at: site, by: session)
    for (index, value) in slopes.enumerated() { hidden[index] = value }
    let (gradients, result) = (SourceGradients(), FloatBuffer(count: source.count))
    try RowExchange().differentiate(
      rows(hidden),
      source: (source.count / 2, gradients),
      at: site,
      by: session
    )
    gradients.add(at: site, to: rows(result))
    return Array(result.values)
  }

  private func checkGradients(_ bench: Bench, _ adapter: Adapter) throws {
    let runtime = ModelRuntime(model: bench.model.frozen)
    let gradients = adapter.parameters.makeGradients()
    _ = try runtime.lossAndGradient(
      Self.batch,
      editor: bench.session(adapter, gradients: gradients),
      scale: 1
    )
    func loss() throws -> Double {
      let losses = try runtime.loss(Self.batch, editor: bench.session(adapter))
      return losses.reduce(0) { $0 + Double($1) }
    }
    var random = SeededGenerator(seed: 8)
    for index in adapter.parameters.infos.indices {
      let tensor = adapter.parameters.tensor(index)
      let analytic = adapter.parameters.slice(of: gradients, index)
      // Along a random direction, so that every number counts.
      let direction = tensor.indices.map { _ in random.normal() }
      let start = Array(tensor)
      func moved(_ step: Float) throws -> Double {
        for place in tensor.indices { tensor[place] = start[place] + step * direction[place] }
        defer { for place in tensor.indices { tensor[place] = start[place] } }
        return try loss()
      }
      let step: Float = 2e-3
      let numeric = (try moved(step) - moved(-step)) / Double(2 * step)
      let told = zip(analytic, direction).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
      #expect(abs(told) > 1e-3)
      #expect(abs(told - numeric) < 1e-2 * max(1, abs(told)), "\(told) and \(numeric)")
    }
  }

  @Test("give the same bits in a process of their own, forward and back", arguments: served)
  func isolated(component: Component) throws {
    try withBench { bench in
      let results = try [false, true].map { isIsolated in
        let adapter = try bench.adapter(component, layers: [0, 1], isIsolated: isIsolated)
        let gradients = adapter.parameters.makeGradients()
        let losses = try ModelRuntime(model: bench.model.frozen).lossAndGradient(
          Self.batch,
          editor: bench.session(adapter, gradients: gradients),
          scale: 1
        )
        return (losses: losses, gradients: Array(gradients.values))
      }
      expectIdentical(results[0].losses, results[1].losses)
      expectIdentical(results[0].gradients, results[1].gradients)
      #expect(results[0].gradients.contains { $0 != 0 })
    }
  }

  @Test("are refused where no layer reads a row as wide, with the sites that serve them")
  func refused() throws {
    try withBench { bench in
      for (component, says) in [
        (Component.blockInput, "no layer of the model makes block_input from one row"),
        (.mlpInput, "no layer of the model makes mlp_input from one row"),
        (.mlpOutput, "reads rows of 160 numbers and not of 64"),
        (.keyOutput, "reads rows of 64 numbers and not of 32"),
      ] {
        let error = #expect(throws: ReFTError.self) { try bench.adapter(component) }
        #expect(error?.code == .badConfiguration)
        let message = error?.message ?? ""
        #expect(message.contains("interventions.0.component is \(component.rawValue)"))
        #expect(message.contains(says), "\(message)")
        #expect(message.hasSuffix("Choose block_output or query_output or attention_output"))
      }
    }
  }

  @Test("keep passes from starting behind their block, and say what gradients below leave out")
  func depth() throws {
    try withBench { bench in
      #expect(try bench.adapter(.blockOutput).frozenDepth == 1)
      #expect(try bench.adapter(.blockOutput).gradientNotes.isEmpty)
      let notes = try bench.adapter(.blockOutput, layers: [0, 1]).gradientNotes
      #expect(notes.count == 1 && notes.first?.contains("plugin 'source'") == true)
    }
  }

  @Test("are not called without it")
  func missing() throws {
    try withBench { bench in
      let plugin = try #require(try InProcessLoader.load(PluginFile(path: bench.plugin)).first)
      let site = PluginSite(dim: 8, layer: 0, component: "block_output")
      let harness = InstanceHarness(try plugin.makeInstance(at: site, options: [:]), dim: 8)
      let error = #expect(throws: ReFTError.self) {
        try harness.forward([Float](repeating: 1, count: 16))
      }
      #expect(error?.code == .internalFault)
      #expect(error?.message.contains("without the layer's input") == true)
    }
  }
}
