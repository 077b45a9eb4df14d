// SPDX-License-Identifier: Apache-2.0
// `reft score` on Hugging Face folders and adapter folders, against the reference library.

import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Scores of folders")
struct FolderTests {
  private struct Expected: Decodable {
    struct Component: Decodable { var loss: Double }
    var ids: [[Int32]]
    var labels: [[Int32]]
    var loss: Double
    var components: [String: Component]
  }

  @Test("agree, with an adapter at every component", arguments: ["llama", "llama3-rope", "gemma3"])
  func score(name: String) throws {
    let source = Fixture.path("tiny/\(name)")
    let data = try Fixture.data("tiny/\(name)/expected.json")
    let expected = try JSONDecoder().decode(Expected.self, from: data)
    let tensors = try Safetensors.read(path: source + "/expected.safetensors")
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      let rows = zip(expected.ids, expected.labels).map { "{\"ids\": \($0), \"labels\": \($1)}" }
      try bench.write(rows.joined(separator: "\n") + "\n", to: "rows.jsonl")
      let call = ["score", "--model", source, "--data", folder + "/rows.jsonl", "--json"]
      let plain = try Tool.reft(call, folder: folder)
      #expect(plain.status == 0, "\(plain.errors)")
      let loss = try #require(plain.json()["loss"] as? Double)
      #expect(abs(loss - expected.loss) <= 1e-4)
      for (component, numbers) in expected.components {
        try writeAdapter(component, tensors, family: name, bench)
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
            try gradients.floats("interventions.0.layers.1.\(own)"),
            try Self.values("\(component).grad.\(parameter)", tensors),
            relative: 1e-3,
            "\(component).\(parameter)"
          )
        }
      }
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
    family: String,
    _ bench: Workbench
  ) throws {
    let architecture = family == "gemma3" ? "gemma3" : "llama"
    try bench.write(
      """
      {"format": "reft-adapter", "format_version": 1,
       "base_model": {"name": "tiny", "architecture": "\(architecture)", "hidden_size": 48,
                      "layers": 3},
       "interventions": [{"plugin": "loreft", "layers": [1], "component": "\(component)",
                          "positions": "f2+l2", "share_weights": true, "options": {"rank": 2}}]}
      """,
      to: "a/adapter_config.json"
    )
    let named = try Self.parameters.map { parameter, own in
      let values = try Self.values("\(component).\(parameter)", tensors)
      return NamedTensor(
        name: "interventions.0.layers.1.\(own)",
        shape: parameter == "b" ? [2] : [2, values.count / 2],
        values: values
      )
    }
    try Safetensors.write(named, metadata: [:], to: bench.folder + "/a/adapter_model.safetensors")
  }
}
