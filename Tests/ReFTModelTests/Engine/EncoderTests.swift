// SPDX-License-Identifier: Apache-2.0
// Encoders against the reference library: logits of the model's own head for classes, loss and gradients
// of an edit at every component; and the same tensors in GGUF.

import Foundation
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Encoders against the reference library")
struct EncoderTests {
  struct Reference: Decodable {
    struct Component: Decodable { var loss: Float }
    var ids: [[Int32]]
    var labels: [Int]
    var loss: Float
    var layer: Int
    var positions: [[Int]]
    var components: [String: Component]

    init(_ name: String) throws {
      let data = try Fixture.data("tiny/\(name)/expected.json")
      self = try JSONDecoder().decode(Reference.self, from: data)
    }

    var batch: PackedBatch {
      var batch = PackedBatch()
      for ids in ids { batch.append(ids: ids) }
      return batch
    }

    var tokens: [Int] {
      zip(batch.segments, positions).flatMap { segment, own in own.map { segment.start + $0 } }
    }
  }

  static let names = ["bert", "roberta", "distilbert"]

  private func folder(_ name: String) -> String { Fixture.path("tiny/\(name)") }

  private func expected(_ name: String) throws -> SafetensorsFile {
    try Safetensors.read(path: folder(name) + "/expected.safetensors")
  }

  private func states(_ runtime: ModelRuntime, _ batch: PackedBatch) throws -> [Float] {
    let tokens = batch.tokens.indices.map { Int32($0) }
    var result: [Float] = []
    try runtime.hiddenStates(of: batch, at: tokens, editor: nil) { states in
      let count = tokens.count * runtime.model.configuration.hiddenSize
      result = Array(UnsafeBufferPointer(start: states, count: count))
    }
    return result
  }

  /// The mean cross entropy of rows of logits, and its derivative by each.
  private func crossEntropy(
    _ logits: [[Float]],
    _ labels: [Int]
  ) -> (loss: Float, slopes: [Float]) {
    var (sum, slopes): (Float, [Float]) = (0, [])
    let count = Float(labels.count)
    for (row, label) in zip(logits, labels) {
      let total = row.reduce(0) { $0 + exp($1) }
      sum += log(total) - row[label]
      slopes += row.indices.map { (exp(row[$0]) / total - ($0 == label ? 1 : 0)) / count }
    }
    return (sum / count, slopes)
  }

  @Test("logits of classes, together and each alone", arguments: names)
  func logits(name: String) throws {
    let reference = try Reference(name)
    let runtime = ModelRuntime(model: try FrozenModel(path: folder(name)))
    let together = try runtime.classLogits(of: reference.batch, editor: nil)
    let expected = try expected(name).floats("logits")
    expectClose(together.flatMap { $0 }, expected, tolerance: 2e-4)
    for (ids, logits) in zip(reference.ids, together) {
      var alone = PackedBatch()
      alone.append(ids: ids)
      expectIdentical(try runtime.classLogits(of: alone, editor: nil)[0], logits)
    }
  }

  @Test("loss and gradients of an edit at every component", arguments: names)
  func components(name: String) throws {
    let reference = try Reference(name)
    let runtime = ModelRuntime(model: try FrozenModel(path: folder(name)))
    let tensors = try expected(name)
    #expect(reference.components.count == 4)
    for (component, numbers) in reference.components {
      let site = Site(
        block: reference.layer,
        component: try #require(Component(rawValue: component))
      )
      let editor = LowRankEditor(
        site,
        tokens: reference.tokens,
        r: try tensors.floats("\(component).R"),
        w: try tensors.floats("\(component).W"),
        b: try tensors.floats("\(component).b")
      )
      var mean: Float = 0
      _ = try runtime.classLogitsAndGradient(of: reference.batch, editor: editor) { logits in
        let (loss, slopes) = crossEntropy(logits, reference.labels)
        mean = loss
        return slopes
      }
      expectClose(mean, numbers.loss, tolerance: 1e-4, component)
      for (parameter, values) in editor.results {
        expectCloseNorm(
          values,
          try tensors.floats("\(component).grad.\(parameter)"),
          relative: 1e-3,
          "\(component).\(parameter)"
        )
      }
    }
  }

  @Test("every site fires once, and in reverse on the way back", arguments: names)
  func sites(name: String) throws {
    let reference = try Reference(name)
    let model = try FrozenModel(path: folder(name))
    let sites = EngineFixture.allSites(model)
    for needsAllRows in [true, false] {
      let recorder = VisitRecorder(
        Set(sites),
        tokenCount: reference.batch.tokens.count,
        needsAllRows: needsAllRows
      )
      _ = try ModelRuntime(model: model)
        .classLogitsAndGradient(of: reference.batch, editor: recorder) {
          crossEntropy($0, reference.labels).slopes
        }
      #expect(recorder.edits.map(\.site) == sites)
      #expect(recorder.gradients.map(\.site) == sites.reversed())
      for visit in recorder.edits + recorder.gradients {
        #expect(visit.width == model.width(of: visit.site.component))
      }
    }
  }

  @Test("the GGUF file made of a folder gives equal states and logits", arguments: names)
  func gguf(name: String) throws {
    let reference = try Reference(name)
    let source = try ModelFolder(path: folder(name))
    try withTemporaryDirectory { place in
      let path = place + "/\(name).gguf"
      let conversion = try ModelConversion(source, as: .f32, text: [])
      #expect(conversion.notes.isEmpty == (name != "distilbert"))
      try conversion.write(to: path)
      let runtimes = try [FrozenModel(source: source), FrozenModel(path: path)].map {
        ModelRuntime(model: $0)
      }
      let own = try runtimes.map { try states($0, reference.batch) }
      expectIdentical(own[1], own[0])
      guard name != "distilbert" else {
        #expect(runtimes[1].model.plan.head == .none)
        return
      }
      let logits = try runtimes.map {
        try $0.classLogits(of: reference.batch, editor: nil).flatMap { $0 }
      }
      expectIdentical(logits[1], logits[0])
    }
  }

  @Test("tokens of the second text have a type of their own, which a model without types refuses")
  func types() throws {
    let reference = try Reference("bert")
    let runtime = ModelRuntime(model: try FrozenModel(path: folder("bert")))
    let ids = reference.ids[0]
    func states(_ types: [Int32]) throws -> [Float] {
      var batch = PackedBatch()
      batch.append(ids: ids, types: types)
      return try self.states(runtime, batch)
    }
    let plain = try states([])
    expectIdentical(try states(ids.map { _ in 0 }), plain)
    #expect(try states(ids.indices.map { $0 < 9 ? 0 : 1 }) != plain)
    let error = #expect(throws: ReFTError.self) { try states(ids.map { _ in 2 }) }
    #expect(error?.code == .badData)
  }

  @Test("a text alone has the bits that it has behind texts with types")
  func mixedTypes() throws {
    let reference = try Reference("bert")
    let runtime = ModelRuntime(model: try FrozenModel(path: folder("bert")))
    var batch = PackedBatch()
    batch.append(ids: reference.ids[1])
    batch.append(ids: reference.ids[0], types: reference.ids[0].indices.map { $0 < 9 ? 0 : 1 })
    batch.append(ids: reference.ids[1])
    let logits = try runtime.classLogits(of: batch, editor: nil)
    expectIdentical(logits[2], logits[0])
  }

  @Test("what they cannot do is refused with a sentence")
  func refusals() throws {
    let reference = try Reference("bert")
    let runtime = ModelRuntime(model: try FrozenModel(path: folder("bert")))
    let cache = try runtime.makeCache(capacity: 4)
    let step = #expect(throws: ReFTError.self) {
      try runtime.step([(cache, [3])], editor: nil)
    }
    #expect(step?.message.contains("family 'bert' predicts no tokens") == true)
    let loss = #expect(throws: ReFTError.self) {
      try runtime.loss(FamilyFixture("llama").batch, editor: nil)
    }
    #expect(loss?.code == .usage)
    let llama = ModelRuntime(model: try FrozenModel(path: folder("llama")))
    let classes = #expect(throws: ReFTError.self) {
      try llama.classLogits(of: reference.batch, editor: nil)
    }
    #expect(classes?.message.contains("has no head for classes") == true)
  }
}
