// SPDX-License-Identifier: Apache-2.0
// The derivative of each of our plugins, through the loaded library, against central differences.

import ReFTHost
import ReFTTensor
import Testing
import _ReFTTestSupport

/// A plugin with options whose derivative is checked.
struct GradientCase: Sendable, CustomTestStringConvertible {
  var plugin: String
  var options: [String: OptionValue] = [:]
  var testDescription: String { "\(plugin) \(options.sorted { $0.key < $1.key })" }
}

@Suite("Gradients of our plugins")
struct PluginGradientTests {
  static let cases: [GradientCase] =
    ["linear", "relu", "gelu", "silu", "tanh"].map {
      GradientCase(plugin: "loreft", options: ["rank": .int(3), "activation": .string($0)])
    } + [
      GradientCase(plugin: "loreft", options: ["rank": .int(2), "dropout": .float(0.4)])
    ]

  @Test("agree with central differences along random directions", arguments: cases)
  func matchDifferences(_ example: GradientCase) throws {
    let (rows, dim) = (5, 19)
    let harness = try InstanceHarness(example.plugin, dim: dim, options: example.options)
    var generator = SeededGenerator(seed: 11)
    let x = generator.normals(rows * dim)
    let weights = generator.normals(rows * dim)
    func loss(_ x: [Float]) throws -> Double {
      zip(try harness.forward(x).y, weights).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }
    let outcome = try harness.forward(x)
    let gradients = harness.store.makeGradients()
    let dx = try harness.backward(x, weights, saved: outcome.saved, gradients: gradients)

    for _ in 0..<4 {
      let direction = generator.normals(rows * dim, scale: 0.02)
      let up = zip(x, direction).map { $0 + $1 }
      let down = zip(x, direction).map { $0 - $1 }
      let expected = (try loss(up) - loss(down)) / 2
      let found = zip(dx, zip(up, down)).reduce(0) {
        $0 + Double($1.0) * Double($1.1.0 - $1.1.1) / 2
      }
      #expect(abs(found - expected) <= 3e-3 * norm(dx) * norm(direction))
    }
    let values = harness.store.values
    for index in harness.store.infos.indices {
      let start = harness.store.offsets[index]
      let count = harness.store.infos[index].count
      let gradient = (0..<count).map { gradients[start + $0] }
      let direction = generator.normals(count, scale: 0.02)
      let kept = (0..<count).map { values[start + $0] }
      for place in 0..<count { values[start + place] = kept[place] + direction[place] }
      let up = try loss(x)
      for place in 0..<count { values[start + place] = kept[place] - direction[place] }
      let down = try loss(x)
      for place in 0..<count { values[start + place] = kept[place] }
      let found = zip(gradient, direction).reduce(0) { $0 + Double($1.0) * Double($1.1) }
      #expect(
        abs(found - (up - down) / 2) <= 3e-3 * norm(gradient) * norm(direction),
        "d \(harness.store.infos[index].name)"
      )
    }
  }

  @Test("of parameters add to what is there", arguments: cases)
  func accumulate(_ example: GradientCase) throws {
    let harness = try InstanceHarness(example.plugin, dim: 8, options: example.options)
    var generator = SeededGenerator(seed: 3)
    let x = generator.normals(16)
    let saved = try harness.forward(x).saved
    let (once, twice) = (harness.store.makeGradients(), harness.store.makeGradients())
    _ = try harness.backward(x, x, saved: saved, gradients: once)
    for _ in 0..<2 { _ = try harness.backward(x, x, saved: saved, gradients: twice) }
    expectClose(twice.values, once.values.map { 2 * $0 }, tolerance: 1e-6, relative: 1e-6)
  }

  @Test("a row's bits do not depend on the other rows", arguments: cases)
  func rowsAreIndependent(_ example: GradientCase) throws {
    let dim = 37
    let harness = try InstanceHarness(example.plugin, dim: dim, options: example.options)
    var generator = SeededGenerator(seed: 5)
    let x = generator.normals(6 * dim)
    let all = try harness.forward(x).y
    for row in 0..<6 {
      let range = row * dim..<(row + 1) * dim
      let alone = try harness.forward(Array(x[range]), positions: [Int32(row)]).y
      expectIdentical(alone, all[range], "row \(row)")
    }
  }

  private func norm(_ values: [Float]) -> Double {
    values.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
  }
}
