// SPDX-License-Identifier: Apache-2.0
// `reft adapter import` and `export` as commands: statuses, documents, and pyreft's own loss.

import Foundation
import Testing
import _ReFTTestSupport

@Suite("Interchange")
struct InterchangeTests {
  private func reft(_ arguments: [String], folder: String) throws -> Tool {
    try Tool.reft(arguments, folder: folder)
  }

  @Test("of a folder that pyreft saved gives pyreft's loss", .requiresRealModel)
  func loss() throws {
    struct Facts: Decodable {
      var prompt_ids: [[Int32]]
      var completion_ids: [[Int32]]
      var loss: Double
    }
    let facts = try JSONDecoder().decode(
      Facts.self,
      from: Fixture.data("smollm2/loreft_r4_f3l3_4layers.json")
    )
    try withTemporaryDirectory { folder in
      let model = try RealModel.required()
      let rows = zip(facts.prompt_ids, facts.completion_ids).map { prompt, completion in
        let labels = [Int32](repeating: -100, count: prompt.count) + completion
        return "{\"ids\": \(prompt + completion), \"labels\": \(labels)}\n"
      }
      try rows.joined().write(toFile: folder + "/rows.jsonl", atomically: true, encoding: .utf8)
      let made = try reft(
        [
          "adapter", "import", "--format", "pyreft", Fixture.path("smollm2/pyreft-loreft"),
          "--model", model, "--output", "a", "--positions", "f3+l3", "--json",
        ],
        folder: folder
      )
      #expect(made.status == 0, "\(made.errors)")
      #expect(try made.json()["parameters"] as? Int == 4 * (2 * 4 * 576 + 4))
      let score = try reft(
        ["score", "--model", model, "--adapter", "a", "--data", "rows.jsonl", "--json"],
        folder: folder
      )
      #expect(score.status == 0, "\(score.errors)")
      let loss = try #require(score.json()["loss"] as? Double)
      #expect(abs(loss - facts.loss) <= 1e-4, "\(loss)")
    }
  }

  @Test("says what is missing, refuses what would be run, and keeps what is there")
  func faults() throws {
    try withTemporaryDirectory { folder in
      try TinyModel().write(in: folder)
      let source = Fixture.path("interchange/pyreft-direft")
      let call = [
        "adapter", "import", "--format", "pyreft", "--model", "tiny.gguf", "--output", "a",
      ]
      let unsaid = try reft(call + [source], folder: folder)
      #expect(unsaid.status == 64 && unsaid.errors.contains("give --positions"))
      let option = try reft(
        call + [source, "--positions", "l1", "--option", "rank"],
        folder: folder
      )
      #expect(option.status == 64 && option.errors.contains("--option 'rank' is not of the form"))
      let missing = try reft(call + ["nothing", "--positions", "l1"], folder: folder)
      #expect(missing.status == 66)
      let lora = try reft(
        ["adapter", "import", "--format", "peft", source, "--model", "tiny.gguf", "--output", "a"],
        folder: folder
      )
      #expect(lora.status == 66 && lora.errors.contains("a folder of PEFT"))
      // A file that would run a command, in the place of the parameters.
      let hostile = folder + "/hostile"
      let name = "intkey_layer_1_comp_block_output_unit_pos_nunit_1#0.bin"
      try FileManager.default.copyItem(atPath: source, toPath: hostile)
      try FileManager.default.removeItem(atPath: hostile + "/" + name)
      try FileManager.default.copyItem(
        atPath: Fixture.path("interchange/hostile/system.bin"),
        toPath: hostile + "/" + name
      )
      let refused = try reft(call + [hostile, "--positions", "l1"], folder: folder)
      #expect(refused.status == 65 && refused.errors.contains("nothing of it was run"))
      #expect(!FileManager.default.fileExists(atPath: folder + "/a"))
      let sound = try reft(call + [source, "--positions", "l1"], folder: folder)
      #expect(sound.status == 0 && sound.text.contains("direft at the block_output of layers 1"))
      let export = ["adapter", "export", "a", "--output", "tiny.gguf", "--format"]
      let taken = try reft(export + ["control-vector"], folder: folder)
      #expect(taken.status == 64 && taken.errors.contains("is there and no control vector"))
      let unfit = try reft(
        ["adapter", "export", "a", "--output", "v.gguf", "--format", "control-vector", "--json"],
        folder: folder
      )
      #expect(
        unfit.status == 64 && unfit.errors.contains("has a place for additive-steering alone")
      )
    }
  }
}
