// SPDX-License-Identifier: Apache-2.0
// Edits on the host of a few rows between blocks, which a card does not wait for before it goes on.

import ReFTCUDA
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Edits that a card does not wait for")
struct PendingEditTests {
  /// h ← 0.7 h + v at some tokens of the outputs of two blocks.
  private final class Blend: HiddenStateEditor {
    let sites: Set<Site>
    let needsAllRows = false
    let sharedPrefixLimit = 0
    private let tokens: [Int]
    private let v: [Float]
    private(set) var gradients: [Site: [Float]] = [:]

    init(_ sites: Set<Site>, tokens: [Int], _ v: [Float]) {
      (self.sites, self.tokens, self.v) = (sites, tokens, v)
    }

    func edits(at site: Site) -> [any RowEdit] {
      [
        RowsEdit(tokens) { [v] rows in
          for index in 0..<rows.count * rows.width {
            rows.rows[index] = 0.7 * rows.rows[index] + v[index % rows.width]
          }
        } backward: { [self] rows in
          var sum = gradients[site] ?? [Float](repeating: 0, count: rows.width)
          for index in 0..<rows.count * rows.width {
            sum[index % rows.width] += rows.rows[index]
            rows.rows[index] *= 0.7
          }
          gradients[site] = sum
        }
      ]
    }
  }

  @Test(
    "give the processor's losses and gradients",
    arguments: ["llama", "qwen3", "gpt2", "gemma2", "gpt-neox"],
    [true, false]
  )
  func gradients(name: String, isExact: Bool) throws {
    let fixture = try FamilyFixture(name)
    let model = try FrozenModel(path: fixture.folder)
    let layers = model.configuration.layers
    let sites = Set((0..<layers).map { Site(block: $0, component: .blockOutput) })
    var random = SeededGenerator(seed: 31)
    let v = random.normals(model.configuration.hiddenSize)
    // Two rows: fewer than a quarter of all, so that products of the others begin before.
    let tokens = [1, fixture.batch.tokens.count / 2]
    func run(_ runtime: any DeviceRuntime) throws -> (losses: [Float], Blend) {
      let editor = Blend(sites, tokens: tokens, v)
      let losses = try runtime.lossAndGradient(fixture.batch, editor: editor, scale: 1, from: nil)
      return (losses, editor)
    }
    let (expected, reference) = try run(ModelRuntime(model: model))
    let (losses, found) = try run(
      CUDARuntime(model: model, device: EmulatedCard.open(), isExact: isExact)
    )
    expectClose(losses, expected, tolerance: isExact ? 1e-4 : 5e-2, "losses")
    for site in sites {
      expectCloseNorm(
        try #require(found.gradients[site]),
        try #require(reference.gradients[site]),
        relative: isExact ? 1e-3 : 5e-2,
        "\(site)"
      )
    }
  }
}
