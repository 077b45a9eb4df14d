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
      GradientCase(plugin: "loreft", options: ["rank": .int(2), "dropout": .float(0.4)]),
      GradientCase(plugin: "direft"),
      GradientCase(plugin: "direft", options: ["orthogonal": .flag(true), "rank": .int(1)]),
      GradientCase(plugin: "direft", options: ["activation": .string("gelu")]),
      GradientCase(plugin: "direft", options: ["activation": .string("silu")]),
      GradientCase(
        plugin: "direft",
        options: ["activation": .string("tanh"), "dropout": .float(0.3)]
      ),
      GradientCase(plugin: "additive-steering", options: ["alpha": .float(-1.5)]),
      GradientCase(plugin: "noreft"),
      GradientCase(
        plugin: "noreft",
        options: ["bias": .flag(true), "activation": .string("relu")]
      ),
      GradientCase(
        plugin: "noreft",
        options: ["activation": .string("gelu"), "dropout": .float(0.3)]
      ),
      GradientCase(plugin: "consreft", options: ["rank": .int(3)]),
      GradientCase(plugin: "lobireft", options: ["rank": .int(3), "dropout": .float(0.2)]),
      GradientCase(plugin: "loreft", options: ["rank": .int(5), "subspace": .string("0-1,3")]),
      GradientCase(
        plugin: "loreft",
        options: [
          "rank": .int(5), "subspaces": .string("0-1,3;2;3-4"), "activation": .string("gelu"),
        ]
      ),
      GradientCase(plugin: "red"),
      GradientCase(plugin: "ablate", options: ["rank": .int(2), "strength": .float(0.6)]),
      GradientCase(plugin: "clamp", options: ["rank": .int(3)]),
      GradientCase(plugin: "affine", options: ["rank": .int(2)]),
      GradientCase(plugin: "norm-steering", options: ["alpha": .float(1.5)]),
      GradientCase(plugin: "reft-r1"),
      GradientCase(plugin: "reft-r1", options: ["rank": .int(6), "top_k": .int(2)]),
    ]

  @Test("agree with central differences along random directions", arguments: cases)
  func matchDifferences(_ example: GradientCase) throws {
    let (rows, dim) = (5, 19)
    let harness = try InstanceHarness(example.plugin, dim: dim, options: example.options)
    if example.options["subspaces"] != nil { harness.subspaces = [2, 0, -1, 1] }
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
      let direction = generator.normals(rows * dim)
      try check(dx, direction, "x") { step in
        try loss(zip(x, direction).map { $0 + step * $1 })
      }
    }
    let values = harness.store.values
    for (info, start) in zip(harness.store.infos, harness.store.offsets) {
      let gradient = (0..<info.count).map { gradients[start + $0] }
      let direction = generator.normals(info.count)
      let kept = (0..<info.count).map { values[start + $0] }
      defer { for place in kept.indices { values[start + place] = kept[place] } }
      try check(gradient, direction, info.name) { step in
        for place in kept.indices { values[start + place] = kept[place] + step * direction[place] }
        return try loss(x)
      }
    }
  }

  /// Compares with central differences of two widths and takes the better: a kink, as relu has,
  /// spoils the wide one.
  private func check(
    _ gradient: [Float],
    _ direction: [Float],
    _ name: String,
    along loss: (_ step: Float) throws -> Double
  ) throws {
    let found = zip(gradient, direction).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    let errors = try [Float(0.02), 0.002].map { step in
      abs(found - (try loss(step) - loss(-step)) / (2 * Double(step)))
    }
    let allowed = 3e-3 * norm(gradient) * norm(direction)
    #expect((errors.min() ?? .infinity) <= allowed, "d \(name): \(errors), allowed \(allowed)")
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
