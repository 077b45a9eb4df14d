// SPDX-License-Identifier: Apache-2.0
// Sound inputs on the tiny model, for tests that then spoil one thing or none.

import Foundation
import ReFTTensor
import _ReFTTestSupport

extension Workbench {
  static let rows = """
    {"prompt": "one two three four", "completion": " five six"}
    {"prompt": "seven eight nine ten", "completion": " eleven"}
    {"prompt": "red green blue", "completion": " yellow"}
    {"prompt": "north east south", "completion": " west"}

    """

  static let config = """
    model: tiny.gguf
    data:
      train: rows.jsonl
      max_length: 64
    interventions:
      - plugin: loreft
        layers: [0, 1]
        component: block_output
        positions: f1+l1
        options: {rank: 2}
    train:
      epochs: 1
      batch_size: 2
      learning_rate: 1.0e-3
    output: run

    """

  /// Writes the tiny model, four rows and a configuration that trains on them.
  func writeRun(config: String = Self.config, rows: String = Self.rows) throws {
    try TinyModel().write(in: folder)
    try write(config, to: "run.yaml")
    try write(rows, to: "rows.jsonl")
  }

  static let adapterConfig = """
    {"format": "reft-adapter", "format_version": 1,
     "base_model": {"name": "Tiny", "architecture": "llama", "hidden_size": 64, "layers": 2},
     "interventions": [{"plugin": "loreft", "layers": [0], "component": "block_output",
                        "positions": "f1+l1", "share_weights": true, "options": {"rank": 2}}]}
    """

  /// The tensors of `adapterConfig`: R picks the first two numbers of a row.
  static var adapterTensors: [NamedTensor] {
    var rotate = [Float](repeating: 0, count: 128)
    rotate[0] = 1
    rotate[65] = 1
    let prefix = "interventions.0.layers.0."
    return [
      NamedTensor(name: prefix + "rotate.weight", shape: [2, 64], values: rotate),
      NamedTensor(
        name: prefix + "source.weight",
        shape: [2, 64],
        values: (0..<128).map { Float($0 % 7) * 0.01 }
      ),
      NamedTensor(name: prefix + "source.bias", shape: [2], values: [0.5, -0.5]),
    ]
  }

  /// Writes an adapter folder for the tiny model.
  func writeAdapter(
    config: String = Self.adapterConfig,
    tensors: [NamedTensor] = Self.adapterTensors
  ) throws {
    try write(config, to: "adapter/adapter_config.json")
    try Safetensors.write(
      tensors,
      metadata: ["format": "pt"],
      to: path("adapter/adapter_model.safetensors")
    )
  }

  /// Compiles C source to a shared library, as a plugin author would.
  func compile(_ source: String, to name: String) throws {
    try write(source, to: "plugin.c")
    let headers = Fixture.folder + "/../../Sources/CReFTPlugin/include"
    let tool = try Tool.run(
      "/usr/bin/env",
      [
        "cc", "-std=c11", "-shared", "-fPIC", "-fvisibility=hidden", "-I", headers,
        path("plugin.c"), "-o", path(name),
      ],
      folder: folder
    )
    if tool.status != 0 { throw CompilerFailure(text: tool.errors) }
  }

  struct CompilerFailure: Error { var text: String }
}
