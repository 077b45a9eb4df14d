// SPDX-License-Identifier: Apache-2.0
// The runtime of a card against the reference library and the processor's runtime: all families, all
// sites. The card is the emulator, which runs the same kernels' text.

import Foundation
import ReFTCUDA
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("A model on a card")
struct CardRuntimeTests {
  private func mean(_ losses: [Float]) -> Float { losses.reduce(0, +) / Float(losses.count) }

  @Test("exactly: loss, and loss and gradients at every component", arguments: FamilyFixture.names)
  func exact(name: String) throws {
    let fixture = try FamilyFixture(name)
    let model = try FrozenModel(path: fixture.folder)
    let runtime = try CUDARuntime(model: model, device: EmulatedCard.open(), isExact: true)
    let batch = fixture.batch
    let plain = try runtime.loss(batch, editor: nil, from: nil)
    expectClose(mean(plain), fixture.loss, tolerance: 1e-4)
    let tensors = try fixture.expected()
    for (component, expected) in fixture.components {
      let editor = try fixture.editor(component, tensors)
      let losses = try runtime.lossAndGradient(
        batch,
        editor: editor,
        scale: 1 / Float(batch.labels.count),
        from: nil
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

  @Test("keys and values of eight bits are the processor's alone, which a card says")
  func cacheOfBytes() throws {
    let fixture = try FamilyFixture(try #require(FamilyFixture.names.first))
    let model = try FrozenModel(path: fixture.folder)
    let card = CUDAComputeDevice(try EmulatedCard.open())
    let error = #expect(throws: ReFTError.self) {
      try card.makeRuntime(
        model,
        for: .generation,
        precision: DecodePrecision(.int16, cache: .int8)
      )
    }
    #expect(error?.code == .usage && error?.message.contains("--kv-cache") == true)
  }

  @Test("in bfloat16: as near as so small models can be rounded", arguments: FamilyFixture.names)
  func rounded(name: String) throws {
    let fixture = try FamilyFixture(name)
    let model = try FrozenModel(path: fixture.folder)
    let runtime = try CUDARuntime(model: model, device: EmulatedCard.open(), isExact: false)
    let batch = fixture.batch
    let tensors = try fixture.expected()
    for (component, expected) in fixture.components {
      let editor = try fixture.editor(component, tensors)
      let losses = try runtime.lossAndGradient(
        batch,
        editor: editor,
        scale: 1 / Float(batch.labels.count),
        from: nil
      )
      // Sums of 64 rounded weights; a real model averages more (docs/cuda.md has its figures).
      expectClose(mean(losses), expected.loss, tolerance: 1e-2, component)
      for (parameter, values) in editor.results {
        let reference = try tensors.floats("\(component).grad.\(parameter)")
        #expect(cosine(values, reference) > 0.98, "\(component).\(parameter)")
      }
    }
  }

  @Test(
    "carries the gradient of what a layer reads to the edits below",
    arguments: ["llama", "gpt-neox", "gemma2"]
  )
  func sourceGradients(name: String) throws {
    let fixture = try FamilyFixture(name)
    let model = try FrozenModel(path: fixture.folder)
    let shape = model.configuration
    let card = try CUDARuntime(model: model, device: EmulatedCard.open(), isExact: true)
    let processor = ModelRuntime(model: model)
    var random = SeededGenerator(seed: 13)
    let v = random.normals(shape.hiddenSize).map { 0.1 * $0 }
    for component in Component.allCases {
      guard let width = shape.sourceWidth(of: component) else { continue }
      let a = random.normals(width).map { $0 / Float(width).squareRoot() }
      let b = random.normals(shape.width(of: component))
      let site = Site(block: shape.layers - 1, component: component)
      func gradient(_ runtime: any DeviceRuntime) throws -> [Float] {
        let sums = SourcePair.Sums(v)
        let pair = SourcePair(site, tokens: fixture.tokens, a: a, b: b, sums)
        _ = try runtime.lossAndGradient(fixture.batch, editor: pair, scale: 1, from: nil)
        return sums.gradient
      }
      let expected = try gradient(processor)
      expectCloseNorm(try gradient(card), expected, relative: 1e-3, "\(component)")
    }
  }

  private func cosine(_ one: [Float], _ other: [Float]) -> Double {
    func dot(_ x: [Float], _ y: [Float]) -> Double {
      zip(x, y).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
    }
    return dot(one, other) / (dot(one, one) * dot(other, other)).squareRoot()
  }

  @Test("decoded token by token and in pieces: logits", arguments: FamilyFixture.names)
  func decoding(name: String) throws {
    let fixture = try FamilyFixture(name)
    let model = try FrozenModel(path: fixture.folder)
    let runtime = try CUDARuntime(model: model, device: EmulatedCard.open(), isExact: true)
    for (index, ids) in fixture.ids.enumerated() {
      let expected = try fixture.logits(index)
      let single = try runtime.makeSequenceCache(capacity: ids.count)
      for (token, id) in ids.enumerated() {
        let row = try runtime.step(
          sequences: [SequenceStep(cache: single, tokens: [id])],
          editor: nil
        )
        expectClose(Array(row), expected[token], tolerance: 2e-4, "token \(token) of \(index)")
      }
      let cache = try runtime.makeSequenceCache(capacity: ids.count)
      var last: [Float] = []
      for start in stride(from: 0, to: ids.count, by: 5) {
        let part = Array(ids[start..<min(ids.count, start + 5)])
        last = Array(
          try runtime.step(sequences: [SequenceStep(cache: cache, tokens: part)], editor: nil)
        )
      }
      expectClose(last, expected[ids.count - 1], tolerance: 2e-4, "in pieces")
    }
  }

  @Test(
    "in bfloat16 token by token: as near as so small models can be rounded",
    arguments: FamilyFixture.names
  )
  func roundedDecoding(name: String) throws {
    let fixture = try FamilyFixture(name)
    let model = try FrozenModel(path: fixture.folder)
    let runtime = try CUDARuntime(model: model, device: EmulatedCard.open(), isExact: false)
    let ids = fixture.ids[0].prefix(6)
    let expected = try fixture.logits(0)
    let cache = try runtime.makeSequenceCache(capacity: ids.count)
    for (token, id) in ids.enumerated() {
      let step = SequenceStep(cache: cache, tokens: [id])
      let row = try runtime.step(sequences: [step], editor: nil)
      #expect(cosine(Array(row), expected[token]) > 0.995, "token \(token)")
    }
  }
}

extension FamilyFixture {
  fileprivate func editor(
    _ component: String,
    _ tensors: SafetensorsFile
  ) throws -> LowRankEditor {
    let known = ReFTModel.Component(rawValue: component)
    return LowRankEditor(
      Site(block: layer, component: try #require(known)),
      tokens: tokens,
      r: try tensors.floats("\(component).R"),
      w: try tensors.floats("\(component).W"),
      b: try tensors.floats("\(component).b")
    )
  }
}
