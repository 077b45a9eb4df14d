// SPDX-License-Identifier: Apache-2.0
// LoRAs of PEFT for the tiny models, in Tests/Fixtures/lora, made by make_lora.py there.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

/// One case, and what PEFT computes with it.
struct LoRAFixture: Decodable, Sendable, CustomTestStringConvertible {
  var name: String
  var model: String
  var frozen_loss: Double
  var loss: Double
  var testDescription: String { name }

  private struct Cases: Decodable { var cases: [LoRAFixture] }

  /// The cases: all of models that predict tokens, and of those that do not.
  static func all() throws -> [LoRAFixture] {
    try JSONDecoder().decode(Cases.self, from: Fixture.data("lora/lora.json")).cases
  }

  static func named(_ name: String) throws -> LoRAFixture {
    try #require(all().first { $0.name == name })
  }

  /// PEFT's folder.
  var folder: String { Fixture.path("lora/" + name) }
  /// The folder of the tiny model.
  var modelFolder: String { Fixture.path("tiny/" + model) }

  /// The LoRA as an adapter for a model; with `gradients`, those in place of the parameters.
  func adapter(_ model: LoadedModel, gradients: Bool = false) throws -> Adapter {
    try adapter(BaseModel(model), gradients: gradients)
  }

  /// The same for a model without a tokenizer.
  func adapter(_ base: BaseModel, gradients: Bool = false) throws -> Adapter {
    try AdapterImport(format: .peft, source: folder + (gradients ? "-gradients" : ""))
      .adapter(base: base, catalog: BuiltPlugins.catalog())
  }

  private struct Rows: Decodable {
    var ids: [[Int32]]
    var labels: [[Int32]]
  }

  /// The sequences of the case, with their labels.
  func rows() throws -> (ids: [[Int32]], labels: [[Int32]]) {
    let data = try Fixture.data("tiny/\(model)/expected.json")
    let rows = try JSONDecoder().decode(Rows.self, from: data)
    return (rows.ids, rows.labels)
  }
}

/// Sequences end to end, each with an adapter of its own or none.
struct LoRABatch {
  var packed = PackedBatch()
  var edits: [SequenceEdit] = []

  mutating func append(_ ids: [Int32], _ labels: [Int32], _ adapter: Adapter?) {
    edits.append(
      SequenceEdit(
        adapter: adapter,
        start: packed.tokens.count,
        count: ids.count,
        promptLength: labels.prefix { $0 == -100 }.count,
        example: Int32(edits.count)
      )
    )
    packed.append(ids: ids, labels: labels)
  }

  init() {}

  init(_ fixture: LoRAFixture, _ adapter: Adapter?) throws {
    let rows = try fixture.rows()
    for (ids, labels) in zip(rows.ids, rows.labels) { append(ids, labels, adapter) }
  }

  /// The loss of each label.
  func losses(_ runtime: ModelRuntime, from start: BlockInput? = nil) throws -> [Float] {
    try runtime.loss(packed, editor: EditSession(edits), from: start)
  }

  /// The mean loss, and its gradients.
  func gradients(
    _ runtime: ModelRuntime,
    of adapter: Adapter,
    dropout: Bool = false
  ) throws -> (loss: Double, buffer: FloatBuffer) {
    let buffer = adapter.parameters.makeGradients()
    let session = try EditSession(
      edits,
      mode: .training(gradients: buffer, randomKey: 5, randomStep: 3),
      dropsUpdates: dropout
    )
    let count = packed.labels.count
    let losses = try runtime.lossAndGradient(packed, editor: session, scale: 1 / Float(count))
    return (losses.reduce(0) { $0 + Double($1) } / Double(count), buffer)
  }
}
