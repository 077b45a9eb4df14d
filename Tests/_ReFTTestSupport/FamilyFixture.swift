// SPDX-License-Identifier: Apache-2.0
// Tiny models of several families with the numbers of the reference library, in Tests/Fixtures/tiny.

import Foundation
package import ReFTModel
package import ReFTTensor
import Testing

/// One tiny model in a Hugging Face folder, and what transformers computes with it.
package struct FamilyFixture: Sendable, CustomTestStringConvertible {
  /// What a rank-2 LoReFT edit at one component leads to.
  package struct Component: Decodable, Sendable {
    package var loss: Float
  }

  private struct Expected: Decodable {
    var lengths: [Int]
    var ids: [[Int32]]
    var labels: [[Int32]]
    var loss: Float
    var layer: Int
    var positions: [[Int]]
    var components: [String: Component]
  }

  package let name: String
  package let ids: [[Int32]]
  package let labels: [[Int32]]
  package let loss: Float
  /// The edited block.
  package let layer: Int
  /// The edited positions of each sequence.
  package let positions: [[Int]]
  package let components: [String: Component]

  package var testDescription: String { name }
  package var folder: String { Fixture.path("tiny/\(name)") }

  package init(_ name: String) throws {
    let data = try Fixture.data("tiny/\(name)/expected.json")
    let expected = try JSONDecoder().decode(Expected.self, from: data)
    self.name = name
    ids = expected.ids
    labels = expected.labels
    loss = expected.loss
    layer = expected.layer
    positions = expected.positions
    components = expected.components
  }

  package static let names = [
    "llama", "llama3-rope", "llama-bias", "mistral-window", "qwen2", "qwen3", "gemma", "gemma2",
    "gemma3", "phi3", "olmo2", "gpt2", "gpt-neox", "gpt-neox-sequential",
  ]

  /// How many components the reference has: queries, keys and values of fused projections are none.
  package var componentCount: Int {
    ["phi3", "gpt2", "gpt-neox", "gpt-neox-sequential"].contains(name) ? 7 : 10
  }

  /// Whether GGUF holds its rotated rows in another order.
  package var isReordered: Bool { name.hasPrefix("llama") || name.hasPrefix("mistral") }

  /// The sequences as one batch.
  package var batch: PackedBatch {
    var batch = PackedBatch()
    for (ids, labels) in zip(ids, labels) { batch.append(ids: ids, labels: labels) }
    return batch
  }

  /// Batch indices of the edited tokens.
  package var tokens: [Int] {
    zip(batch.segments, positions).flatMap { segment, own in own.map { segment.start + $0 } }
  }

  /// The reference library's tensors.
  package func expected() throws -> SafetensorsFile {
    try Safetensors.read(path: folder + "/expected.safetensors")
  }

  /// The logits of each token of a sequence.
  package func logits(_ sequence: Int) throws -> [[Float]] {
    let all = try expected().floats("logits")
    let width = 320
    let longest = ids.map(\.count).max() ?? 0
    return ids[sequence].indices.map { token in
      let start = (sequence * longest + token) * width
      return Array(all[start..<start + width])
    }
  }
}

/// h + (h Wᵀ + b − h R) Rᵀ at some tokens of one site, with gradients.
package final class LowRankEditor: HiddenStateEditor {
  package let sites: Set<Site>
  package let needsAllRows = false
  package let sharedPrefixLimit = 0
  private let edit: RowsEdit
  private let memory: Memory

  /// - Parameters:
  ///   - site: where.
  ///   - tokens: batch indices of the edited tokens.
  ///   - r: R [d, 2].
  ///   - w: W [2, d].
  ///   - b: b [2].
  package init(_ site: Site, tokens: [Int], r: [Float], w: [Float], b: [Float]) {
    sites = [site]
    let memory = Memory(r: r, w: w, b: b)
    edit = RowsEdit(tokens, forward: memory.edit, backward: memory.differentiate)
    self.memory = memory
  }

  package func edits(at site: Site) -> [any RowEdit] { [edit] }

  /// The gradients of R, W and b.
  package var results: [(name: String, values: [Float])] {
    [("R", memory.gradR), ("W", memory.gradW), ("b", memory.gradB)]
  }

  private final class Memory {
    let (r, w, b): ([Float], [Float], [Float])
    var (gradR, gradW, gradB): ([Float], [Float], [Float])
    var inputs: [[Float]] = []
    var coefficients: [[Float]] = []

    init(r: [Float], w: [Float], b: [Float]) {
      (self.r, self.w, self.b) = (r, w, b)
      gradR = r.map { _ in 0 }
      gradW = w.map { _ in 0 }
      gradB = b.map { _ in 0 }
    }

    func edit(_ rows: GatheredRows) {
      let d = rows.width
      for index in 0..<rows.count {
        let h = rows.rows + index * d
        inputs.append(Array(UnsafeBufferPointer(start: h, count: d)))
        let c = (0..<2).map { i in
          (0..<d).reduce(b[i]) { $0 + (w[i * d + $1] - r[$1 * 2 + i]) * h[$1] }
        }
        coefficients.append(c)
        for j in 0..<d { h[j] += r[j * 2] * c[0] + r[j * 2 + 1] * c[1] }
      }
    }

    func differentiate(_ rows: GatheredRows) {
      let d = rows.width
      for index in 0..<rows.count {
        let g = rows.rows + index * d
        let (h, c) = (inputs[index], coefficients[index])
        let s = (0..<2).map { i in (0..<d).reduce(Float(0)) { $0 + r[$1 * 2 + i] * g[$1] } }
        for i in 0..<2 {
          gradB[i] += s[i]
          for j in 0..<d {
            gradR[j * 2 + i] += g[j] * c[i] - h[j] * s[i]
            gradW[i * d + j] += s[i] * h[j]
          }
        }
        for j in 0..<d {
          for i in 0..<2 { g[j] += (w[i * d + j] - r[j * 2 + i]) * s[i] }
        }
      }
    }
  }
}
