// SPDX-License-Identifier: Apache-2.0
// `reft score` on Hugging Face folders and adapter folders, against the reference library.

import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Scores of folders")
struct FolderTests {
  /// What the reference library computes; of encoders a label is a class.
  private struct Expected: Decodable {
    struct Component: Decodable { var loss: Double }
    var ids: [[Int32]]
    var loss: Double
    var layer: Int
    var components: [String: Component]
    /// The rows as lines of JSON.
    let rows: String

    private enum Keys: String, CodingKey { case ids, labels, loss, layer, components }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: Keys.self)
      ids = try values.decode([[Int32]].self, forKey: .ids)
      loss = try values.decode(Double.self, forKey: .loss)
      layer = try values.decode(Int.self, forKey: .layer)
      components = try values.decode([String: Component].self, forKey: .components)
      let labels: [String]
      if let classes = try? values.decode([Int].self, forKey: .labels) {
        labels = classes.map { "\"label\": \($0)" }
      } else {
        labels = try values.decode([[Int32]].self, forKey: .labels).map { "\"labels\": \($0)" }
      }
      rows = zip(ids, labels).map { "{\"ids\": \($0), \($1)}\n" }.joined()
    }
  }

  /// Each tiny folder, and what plans call its family.
  private static let families: KeyValuePairs = [
    "llama": "llama", "llama-bias": "llama", "llama3-rope": "llama", "mistral-window": "llama",
    "qwen2": "qwen2", "qwen3": "qwen3", "gemma": "gemma", "gemma2": "gemma2", "gemma3": "gemma3",
    "phi3": "phi3", "olmo2": "olmo2", "gpt2": "gpt2", "gpt-neox": "gptneox",
    "gpt-neox-sequential": "gptneox", "bert": "bert", "roberta": "roberta",
    "distilbert": "distilbert",
  ]

  /// Families that are scored at every component; the engine's own tests do it with all.
  private static let whole = ["llama", "gemma3", "bert"]

  @Test("agree, with an adapter at every component", arguments: families.map { $0.key })
  func score(name: String) throws {
    let source = Fixture.path("tiny/\(name)")
    let family = try #require(Self.families.first { $0.key == name }?.value)
    let data = try Fixture.data("tiny/\(name)/expected.json")
    let expected = try JSONDecoder().decode(Expected.self, from: data)
    let tensors = try Safetensors.read(path: source + "/expected.safetensors")
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.write(expected.rows, to: "rows.jsonl")
      let call = ["score", "--model", source, "--data", folder + "/rows.jsonl", "--json"]
      let plain = try Tool.reft(call, folder: folder)
      #expect(plain.status == 0, "\(plain.errors)")
      let loss = try #require(plain.json()["loss"] as? Double)
      #expect(abs(loss - expected.loss) <= 1e-4)
      #expect(expected.components.count >= 4)
      for (component, numbers) in expected.components {
        guard Self.whole.contains(name) || component == "block_output" else { continue }
        try writeAdapter(component, tensors, family, layer: expected.layer, bench)
        let edited = try Tool.reft(
          call + ["--adapter", folder + "/a", "--gradients", folder + "/g.safetensors"],
          folder: folder
        )
        #expect(edited.status == 0, "\(edited.errors)")
        let loss = try #require(edited.json()["loss"] as? Double)
        #expect(abs(loss - numbers.loss) <= 1e-4, "\(component)")
        let gradients = try Safetensors.read(path: folder + "/g.safetensors")
        for (parameter, own) in Self.parameters {
          expectCloseNorm(
            try gradients.floats("interventions.0.layers.\(expected.layer).\(own)"),
            try Self.values("\(component).grad.\(parameter)", tensors),
            relative: 1e-3,
            "\(component).\(parameter)"
          )
        }
      }
    }
  }

  @Test("are those of the GGUF file that quantize writes", arguments: families.map { $0.key })
  func quantized(name: String) throws {
    let source = Fixture.path("tiny/\(name)")
    let data = try Fixture.data("tiny/\(name)/expected.json")
    let expected = try JSONDecoder().decode(Expected.self, from: data)
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.write(expected.rows, to: "rows.jsonl")
      let (file, rows) = (folder + "/model.gguf", folder + "/rows.jsonl")
      let call = ["model", "quantize", source, "--type", "f16", "--output", file, "--data", rows]
      let written = try Tool.reft(call + ["--json"], folder: folder)
      #expect(written.status == 0, "\(written.errors)")
      if name == "distilbert" {
        #expect(written.errors.contains("the head for classes is left out"))
        return
      }
      let score = try Tool.reft(
        ["score", "--model", file, "--data", rows, "--json"],
        folder: folder
      )
      #expect(score.status == 0, "\(score.errors)")
      let loss = try #require(score.json()["loss"] as? Double)
      #expect(abs(loss - expected.loss) <= 2e-3)
      guard let after = try written.json()["perplexity_after"] as? Double else {
        #expect(["bert", "roberta"].contains(name))
        return
      }
      #expect(abs(log(after) - loss) <= 1e-6)
    }
  }

  private static let parameters = [
    ("R", "rotate.weight"), ("W", "source.weight"), ("b", "source.bias"),
  ]

  /// A tensor of the reference; R [d, 2] is turned to rows.
  private static func values(_ name: String, _ tensors: SafetensorsFile) throws -> [Float] {
    let values = try tensors.floats(name)
    guard name.hasSuffix("R") else { return values }
    return (0..<2).flatMap { column in
      stride(from: column, to: values.count, by: 2).map { values[$0] }
    }
  }

  private func writeAdapter(
    _ component: String,
    _ tensors: SafetensorsFile,
    _ family: String,
    layer: Int,
    _ bench: Workbench
  ) throws {
    try bench.write(
      """
      {"format": "reft-adapter", "format_version": 1,
       "base_model": {"name": "tiny", "architecture": "\(family)", "hidden_size": 48,
                      "layers": 3},
       "interventions": [{"plugin": "loreft", "layers": [\(layer)], "component": "\(component)",
                          "positions": "f2+l2", "share_weights": true, "options": {"rank": 2}}]}
      """,
      to: "a/adapter_config.json"
    )
    let named = try Self.parameters.map { parameter, own in
      let values = try Self.values("\(component).\(parameter)", tensors)
      return NamedTensor(
        name: "interventions.0.layers.\(layer).\(own)",
        shape: parameter == "b" ? [2] : [2, values.count / 2],
        values: values
      )
    }
    try Safetensors.write(named, metadata: [:], to: bench.folder + "/a/adapter_model.safetensors")
  }
}
