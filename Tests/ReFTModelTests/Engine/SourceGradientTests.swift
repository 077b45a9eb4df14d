// SPDX-License-Identifier: Apache-2.0
// The gradient of what a layer reads, from an edit of what it makes to an edit below: against differences,
// in all families, wherever a layer makes rows from rows.

import Foundation
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Gradients of rows that a layer read")
struct SourceGradientTests {
  private static let families = FamilyFixture.names + EncoderTests.names

  private func batch(_ name: String) throws -> PackedBatch {
    if EncoderTests.names.contains(name) { return try EncoderTests.Reference(name).batch }
    return try FamilyFixture(name).batch
  }

  @Test("are those that differences say, wherever there is such a row", arguments: families)
  func differences(name: String) throws {
    let model = try FrozenModel(path: Fixture.path("tiny/\(name)"))
    let shape = model.configuration
    let batch = try batch(name)
    // The last rows alone, so that the end of the last block computes a tail.
    let outputs = batch.segments.map { Int32($0.start + $0.count - 1) }
    let tokens = batch.segments.flatMap { [$0.start, $0.start + 1, $0.start + $0.count - 1] }
    var random = SeededGenerator(seed: 11)
    let weights = random.normals(outputs.count * shape.hiddenSize)
    let start = random.normals(shape.hiddenSize).map { 0.1 * $0 }
    let direction = random.normals(shape.hiddenSize)
    let runtime = ModelRuntime(model: model)
    for component in Component.allCases {
      guard let width = shape.sourceWidth(of: component) else { continue }
      let a = random.normals(width).map { $0 / Float(width).squareRoot() }
      let b = random.normals(shape.width(of: component))
      for block in [0, shape.layers - 1] {
        let site = Site(block: block, component: component)
        func loss(_ v: [Float]) throws -> Double {
          var sum = 0.0
          let pair = SourcePair(site, tokens: tokens, a: a, b: b, SourcePair.Sums(v))
          try runtime.hiddenStates(of: batch, at: outputs, editor: pair) { states in
            for index in weights.indices { sum += Double(states[index]) * Double(weights[index]) }
          }
          return sum
        }
        func slope(gives: Bool) throws -> Double {
          let sums = SourcePair.Sums(start)
          let pair = SourcePair(site, tokens: tokens, a: a, b: b, sums, gives: gives)
          try runtime.hiddenStatesAndGradient(of: batch, at: outputs, editor: pair) { _, gradient in
            for index in weights.indices { gradient?[index] = weights[index] }
          }
          return zip(sums.gradient, direction).reduce(0) { $0 + Double($1.0) * Double($1.1) }
        }
        func moved(_ step: Float) throws -> Double {
          try loss(zip(start, direction).map { $0 + step * $1 })
        }
        let step: Float = 2e-3
        let numeric = (try moved(step) - moved(-step)) / Double(2 * step)
        let (whole, partial) = try (slope(gives: true), slope(gives: false))
        let scale = max(abs(numeric), abs(numeric - partial))
        #expect(abs(whole - numeric) <= 2e-2 * max(1, scale), "\(site): \(whole) and \(numeric)")
        // The part that flows through the source is not nothing.
        #expect(abs(whole - partial) > 1e-5 * scale, "\(site): \(partial) of \(numeric)")
      }
    }
  }
}
