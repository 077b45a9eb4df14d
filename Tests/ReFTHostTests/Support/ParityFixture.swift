// SPDX-License-Identifier: Apache-2.0
// The reference numbers of interventions on real models, and their parameters as an adapter folder of
// ours.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

/// One file of reference numbers: a batch, parameters, loss and gradients.
struct ParityFixture {
  /// The numbers that are not tensors.
  struct Facts: Decodable {
    var kind: String
    var rank: Int
    var layers: [Int]
    var first: Int
    var last: Int
    var prompt_ids: [[Int32]]
    var completion_ids: [[Int32]]
    var positions: [[Int]]
    var loss: Double
    var frozen_loss: Double
  }

  let facts: Facts
  let tensors: SafetensorsFile

  init(_ name: String, model: String = "smollm2") throws {
    facts = try JSONDecoder().decode(Facts.self, from: Fixture.data("\(model)/\(name).json"))
    tensors = try Safetensors.read(path: Fixture.path("\(model)/\(name).safetensors"))
  }

  /// The plugin of ours, with its options, that computes this kind.
  var plugin: (name: String, options: [String: OptionValue]) {
    let rank: [String: OptionValue] = ["rank": .int(Int64(facts.rank))]
    return switch facts.kind {
    case "direft": ("direft", rank.merging(["orthogonal": .flag(true)]) { $1 })
    case "nodireft": ("direft", rank)
    case "noreft": ("noreft", rank.merging(["bias": .flag(true)]) { $1 })
    case "additive": ("additive-steering", [:])
    default: (facts.kind, rank)
    }
  }

  /// The name of ours for a parameter of the reference.
  private func name(of parameter: String) -> String {
    switch (parameter, facts.kind) {
    case ("R", "direft"): "proj.weight"
    case ("R", _): "rotate.weight"
    case ("P", _): "proj.weight"
    case ("c", _): "proj.bias"
    case ("W", _): "source.weight"
    case ("b", _): "source.bias"
    default: "vector"
    }
  }

  var positions: String {
    switch (facts.first, facts.last) {
    case (let first, 0): "f\(first)"
    case (0, let last): "l\(last)"
    case (let first, let last): "f\(first)+l\(last)"
    }
  }

  /// The tensors with a prefix ("" or "grad."), under our names; R is turned from [d, r] to [r, d].
  func parameters(_ prefix: String) throws -> [NamedTensor] {
    try tensors.tensors.filter { $0.name.hasPrefix(prefix + "layers.") }.map { tensor in
      let parts = tensor.name.dropFirst(prefix.count).split(separator: ".")
      var shape = tensor.shape
      var values = try tensors.floats(tensor.name)
      if parts[2] == "R" {
        let (rows, columns) = (shape[0], shape[1])
        let source = values
        for row in 0..<rows {
          for column in 0..<columns { values[column * rows + row] = source[row * columns + column] }
        }
        shape = [columns, rows]
      }
      let name = "interventions.0.layers.\(parts[1]).\(name(of: String(parts[2])))"
      return NamedTensor(name: name, shape: shape, values: values)
    }
  }

  /// Writes the parameters as an adapter folder.
  func writeAdapter(to folder: String, model: LoadedModel) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let spec = InterventionSpec(
      plugin: plugin.name,
      layers: facts.layers,
      positions: try PositionRule(positions),
      options: plugin.options
    )
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    let shape = model.configuration
    let document: [String: JSONValue] = [
      "format": .string("reft-adapter"), "format_version": .int(1),
      "base_model": .object([
        "name": .string(shape.name), "architecture": .string(shape.architecture),
        "hidden_size": .int(Int64(shape.hiddenSize)), "layers": .int(Int64(shape.layers)),
        "fingerprint": .string(model.fingerprint),
      ]),
      "interventions": .array([
        try JSONFile.node(Array(encoder.encode(spec)), path: "spec").value
      ]),
    ]
    try encoder.encode(document).write(to: URL(fileURLWithPath: folder + "/adapter_config.json"))
    try Safetensors.write(
      try parameters(""),
      metadata: [:],
      to: folder + "/adapter_model.safetensors"
    )
  }

  /// The reference's examples as one packed batch, with the edits of an adapter.
  func batch(adapter: Adapter?) -> (PackedBatch, [SequenceEdit]) {
    var batch = PackedBatch()
    var edits: [SequenceEdit] = []
    for (prompt, completion) in zip(facts.prompt_ids, facts.completion_ids) {
      edits.append(
        SequenceEdit(
          adapter: adapter,
          start: batch.tokens.count,
          count: prompt.count + completion.count,
          promptLength: prompt.count,
          promptTokens: prompt[...]
        )
      )
      let none = [Int32](repeating: -100, count: prompt.count)
      batch.append(ids: prompt + completion, labels: none + completion)
    }
    return (batch, edits)
  }
}
