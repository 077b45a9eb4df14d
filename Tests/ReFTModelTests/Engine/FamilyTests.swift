// SPDX-License-Identifier: Apache-2.0
// Each family against the numbers of the reference library, from a folder and from the GGUF file that
// conversion makes of it.

import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Families against the reference library")
struct FamilyTests {
  /// The logits of every token of a sequence, decoded one by one.
  private func decoded(_ model: FrozenModel, _ ids: [Int32]) throws -> [[Float]] {
    let runtime = ModelRuntime(model: model, precision: .float32)
    let cache = try runtime.makeCache(capacity: ids.count)
    return try ids.map { Array(try runtime.step([(cache, [$0])], editor: nil)) }
  }

  @Test("logits of decoded tokens and of whole prompts", arguments: FamilyFixture.names)
  func logits(name: String) throws {
    let fixture = try FamilyFixture(name)
    let model = try FrozenModel(path: fixture.folder)
    let runtime = ModelRuntime(model: model, precision: .float32)
    for (index, ids) in fixture.ids.enumerated() {
      let expected = try fixture.logits(index)
      let found = try decoded(model, ids)
      for (token, row) in expected.enumerated() {
        expectClose(found[token], row, tolerance: 2e-4, "token \(token) of sequence \(index)")
      }
      for chunk in [ids.count, 5] {
        let cache = try runtime.makeCache(capacity: ids.count)
        var last: [Float] = []
        for start in stride(from: 0, to: ids.count, by: chunk) {
          let part = Array(ids[start..<min(ids.count, start + chunk)])
          last = Array(try runtime.step([(cache, part)], editor: nil))
        }
        expectClose(last, expected[ids.count - 1], tolerance: 2e-4, "chunks of \(chunk)")
      }
    }
  }

  @Test(
    "loss, and loss and gradients of an edit at every component",
    arguments: FamilyFixture.names
  )
  func components(name: String) throws {
    let fixture = try FamilyFixture(name)
    let runtime = ModelRuntime(model: try FrozenModel(path: fixture.folder))
    let batch = fixture.batch
    func mean(_ losses: [Float]) -> Float { losses.reduce(0, +) / Float(losses.count) }
    expectClose(mean(try runtime.loss(batch, editor: nil)), fixture.loss, tolerance: 1e-4)
    let tensors = try fixture.expected()
    #expect(fixture.components.count == fixture.componentCount)
    for (component, expected) in fixture.components {
      let site = Site(
        block: fixture.layer,
        component: try #require(Component(rawValue: component))
      )
      let editor = LowRankEditor(
        site,
        tokens: fixture.tokens,
        r: try tensors.floats("\(component).R"),
        w: try tensors.floats("\(component).W"),
        b: try tensors.floats("\(component).b")
      )
      let losses = try runtime.lossAndGradient(
        batch,
        editor: editor,
        scale: 1 / Float(batch.labels.count)
      )
      expectClose(mean(losses), expected.loss, tolerance: 1e-4, component)
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

  @Test("every site fires once, and in reverse on the way back", arguments: FamilyFixture.names)
  func sites(name: String) throws {
    let fixture = try FamilyFixture(name)
    let model = try FrozenModel(path: fixture.folder)
    let runtime = ModelRuntime(model: model)
    let batch = fixture.batch
    for needsAllRows in [true, false] {
      let sites = EngineFixture.allSites(model)
      let recorder = VisitRecorder(
        Set(sites),
        tokenCount: batch.tokens.count,
        needsAllRows: needsAllRows
      )
      _ = try runtime.lossAndGradient(batch, editor: recorder, scale: 1)
      #expect(recorder.edits.map(\.site) == sites)
      #expect(recorder.gradients.map(\.site) == sites.reversed())
      for visit in recorder.edits + recorder.gradients {
        #expect(visit.width == model.width(of: visit.site.component))
      }
    }
  }

  @Test("the GGUF file made of a folder gives equal logits", arguments: FamilyFixture.names)
  func gguf(name: String) throws {
    let fixture = try FamilyFixture(name)
    let folder = try ModelFolder(path: fixture.folder)
    try withTemporaryDirectory { place in
      let path = place + "/\(name).gguf"
      let conversion = try ModelConversion(folder, as: .f32, text: [])
      #expect(conversion.notes.isEmpty == (name != "mistral-window"))
      try conversion.write(to: path)
      let models = [try FrozenModel(source: folder), try FrozenModel(path: path)]
      #expect(models[0].plan.blocks.count == models[1].plan.blocks.count)
      #expect(models[0].plan.contextLength == models[1].plan.contextLength)
      for ids in fixture.ids {
        let logits = try models.map { try decoded($0, ids).flatMap { $0 } }
        // Rotated pairs lie elsewhere in a llama's file, so that scores are other sums.
        if fixture.isReordered {
          expectClose(logits[1], logits[0], tolerance: 2e-5)
        } else {
          expectIdentical(logits[1], logits[0])
        }
      }
    }
  }

  @Test(
    "a row behind a window has the same bits alone, among others and for any threads",
    arguments: ["mistral-window", "gemma2", "gemma3"]
  )
  func windowBits(name: String) throws {
    let model = try FrozenModel(path: FamilyFixture(name).folder)
    let sequences = [70, 13, 49, 120].map { count in
      (0..<count).map { Int32(($0 * 31 + count) % 320) }
    }
    func losses(_ sequences: [[Int32]], _ pool: ThreadPool) throws -> [Float] {
      try ModelRuntime(model: model, pool: pool)
        .loss(EngineFixture.batch(sequences, labelled: 12), editor: nil)
    }
    let alone = try sequences.flatMap { try losses([$0], EngineFixture.pools[0]) }
    for pool in EngineFixture.pools {
      expectIdentical(try losses(sequences, pool), alone, "\(pool.threadCount) threads")
    }
    let runtime = ModelRuntime(model: model, precision: .float32)
    for ids in sequences {
      let whole = try runtime.makeCache(capacity: ids.count)
      let expected = Array(try runtime.step([(whole, ids)], editor: nil))
      for chunk in [64, 7, 1] {
        let cache = try runtime.makeCache(capacity: ids.count)
        var last: [Float] = []
        for start in stride(from: 0, to: ids.count, by: chunk) {
          let part = Array(ids[start..<min(ids.count, start + chunk)])
          last = Array(try runtime.step([(cache, part)], editor: nil))
        }
        expectClose(last, expected, tolerance: 5e-5, "chunks of \(chunk) of \(ids.count)")
      }
    }
  }
}
