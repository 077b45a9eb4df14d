// SPDX-License-Identifier: Apache-2.0
// A run whose plugin breaks down in the middle, from the first warning to the mended end.

import Foundation
import Testing
import _ReFTTestSupport

@Suite("A plugin that breaks down in mid-run", .serialized)
struct PluginTroubleTests {
  /// A run of four steps with a plugin made from the template, whose backward crashes in step 3.
  private func bench(_ body: (Workbench, [String: String]) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun(
        config: Workbench.config.replacing("plugin: loreft", with: "plugin: frail")
          .replacing("    options: {rank: 2}\n", with: "").replacing("epochs: 1", with: "epochs: 2")
      )
      let environment = ["REFT_HOME": folder + "/home"]
      let made = try Tool.reft(
        ["plugin", "new", "frail", "--output", bench.path("frail")],
        environment: environment,
        folder: folder
      )
      #expect(made.status == 0, "\(made.errors)")
      try FileManager.default.createDirectory(
        atPath: bench.path("plugins"),
        withIntermediateDirectories: true
      )
      try body(bench, environment)
    }
  }

  private func build(_ bench: Workbench, crash: String) throws {
    let source = try String(contentsOfFile: bench.path("frail/frail.c"), encoding: .utf8)
    let start = "static reft_status_t backward(reft_instance_t *self, const reft_args_t *a) {"
    try #require(source.contains(start))
    try bench.compile(source.replacing(start, with: start + crash), to: "plugins/frail.so")
  }

  @Test("stops with everything saved, is quarantined, and goes on once it is mended")
  func stopsAndGoesOn() throws {
    try bench { bench, environment in
      func train(_ more: [String]) throws -> Tool {
        try Tool.reft(
          ["train", bench.path("run.yaml"), "--plugin-path", bench.path("plugins")] + more,
          environment: environment,
          folder: bench.folder
        )
      }
      try build(bench, crash: " if (a->rng_step >= 2) *(volatile int *)8 = 1;")
      let broken = try train([])
      #expect(broken.status == 69, "\(broken.errors)")
      for text in [
        "it is started again and the same call is made again", "plugin 'frail' is quarantined",
        "the run is saved as of step 2; once the cause is gone, `reft train ",
      ] { #expect(broken.errors.contains(text), "\(broken.errors)") }
      #expect(try status(bench) == "stopped 2")

      let refused = try train(["--resume"])
      #expect(refused.status == 69)
      #expect(refused.errors.contains("is quarantined: in backward of layer "))

      try build(bench, crash: "")
      let other = try train(["--resume"])
      #expect(other.status == 78)
      #expect(other.errors.contains("--other-build goes on with another build of a plugin"))
      let mended = try train(["--resume", "--other-build", "--json"])
      #expect(mended.status == 0, "\(mended.errors)")
      #expect(try mended.json()["steps"] as? Int == 4)
      #expect(try status(bench) == "finished 4")
      #expect(mended.errors.contains("warning: interventions.0.plugin hash was sha256:"))
      let config = try String(
        contentsOfFile: bench.path("run/adapter/adapter_config.json"),
        encoding: .utf8
      )
      #expect(config.contains("earlier_plugin_hashes"))

      // The same run without the trouble ends with the same bytes.
      let whole = try train(["--output", bench.path("whole")])
      #expect(whole.status == 0, "\(whole.errors)")
      let tensors = try ["run", "whole"].map {
        try Data(
          contentsOf: URL(fileURLWithPath: bench.path("\($0)/adapter/adapter_model.safetensors"))
        )
      }
      #expect(tensors[0] == tensors[1])
    }
  }

  @Test("a plugin whose parameters changed is named, and its checkpoint stays")
  func changedLayout() throws {
    try bench { bench, environment in
      func train(_ more: [String]) throws -> Tool {
        try Tool.reft(
          ["train", bench.path("run.yaml"), "--plugin-path", "plugins"] + more,
          environment: environment,
          folder: bench.folder
        )
      }
      try build(bench, crash: " if (a->rng_step >= 2) *(volatile int *)8 = 1;")
      #expect(try train([]).status == 69)
      let source = try String(contentsOfFile: bench.path("frail/frail.c"), encoding: .utf8)
      let renamed = source.replacing("TEXT(\"shift\")", with: "TEXT(\"offset\")")
      try bench.compile(renamed, to: "plugins/frail.so")
      for more in [["--resume"], ["--resume", "--other-build"]] {
        let refused = try train(more)
        #expect(refused.status == 78)
        #expect(
          refused.errors.contains(
            "error: plugin 'frail' has other parameters than when the run was saved: 'offset' [64] is "
              + "new, 'shift' [64] is gone; the checkpoint '\(bench.path("run/checkpoints/step-00000002"))' is "
              + "fine: go on with the build that made it (sha256:"
          ),
          "\(refused.errors)"
        )
        #expect(!refused.errors.contains("remove"))
      }
      let adapter = "run/checkpoints/step-00000002/adapter"
      let scored = try Tool.reft(
        [
          "score", "--model", "tiny.gguf", "--data", "rows.jsonl", "--adapter", adapter,
          "--plugin-path", "plugins",
        ],
        environment: environment,
        folder: bench.folder
      )
      #expect(scored.status == 69)
      #expect(
        scored.errors.contains(
          "error: the adapter '\(adapter)' does not fit plugin 'frail' as it is here: "
        ),
        "\(scored.errors)"
      )
      #expect(scored.errors.contains("it was made with another build (sha256:"))
      let other = source.replacing("org.example.frail", with: "com.acme.frail")
      try bench.compile(other, to: "plugins/frail.so")
      let stranger = try train(["--resume", "--other-build"])
      #expect(stranger.status == 78)
      #expect(
        stranger.errors.contains(
          "was trained with plugin org.example.frail, and the configuration finds com.acme.frail"
        ),
        "\(stranger.errors)"
      )
    }
  }

  @Test("what a plugin inside the program prints or writes too far is no part of a result")
  func printsAndOverruns() throws {
    try bench { bench, environment in
      let source = try String(contentsOfFile: bench.path("frail/frail.c"), encoding: .utf8)
      let start = "static reft_status_t forward(reft_instance_t *self, const reft_args_t *a) {"
      let end = "static reft_status_t backward("
      try #require(source.contains(start) && source.contains(end))
      let words = "*out = NULL; printf(\"hello from frail\\n\"); fflush(stdout);"
      let loud = "#include <stdio.h>\n" + source.replacing("*out = NULL;", with: words)
      try bench.compile(loud, to: "plugins/frail.so")
      func reft(_ call: [String]) throws -> Tool {
        try Tool.reft(
          call + ["--plugin-path", "plugins"],
          environment: environment,
          folder: bench.folder
        )
      }
      #expect(try reft(["plugin", "trust", "frail"]).status == 0)
      let info = try reft(["plugin", "info", "frail", "--json"])
      #expect(info.status == 0)
      #expect(try info.json()["isolation"] as? String == "none")
      #expect(info.errors.contains("hello from frail"))

      let far = source.replacing(
        end,
        with: "static reft_status_t far(reft_instance_t *self, const reft_args_t *a) {\n"
          + "  reft_status_t s = forward(self, a);\n"
          + "  if (a->x.rows > 0) ROW(a->y, a->x.rows - 1)[self->dim] = 1;\n  return s;\n}\n" + end
      ).replacing(".forward = forward", with: ".forward = far")
      try bench.compile(far, to: "plugins/frail.so")
      #expect(try reft(["plugin", "trust", "frail"]).status == 0)
      let run = try reft(["train", bench.path("run.yaml")])
      #expect(run.status == 69)
      #expect(
        run.errors.contains(
          "error: plugin 'frail' breaks its contract: forward wrote at least 1 numbers past the last row "
            + "of y; `reft plugin check` tells its author more"
        ),
        "\(run.errors)"
      )
    }
  }

  @Test("a plugin runs where --isolation says, with the same bits, and slips in it are told")
  func isolationOption() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      func reft(_ call: [String]) throws -> Tool { try Tool.reft(call, folder: folder) }
      for (words, place) in [
        ([], "none"), (["process"], "process"), (["loreft=process"], "process"),
        (["process", "loreft=none"], "none"), (["direft=process"], "none"),
      ] {
        let options = words.flatMap { ["--isolation", $0] }
        let info = try reft(["plugin", "info", "loreft", "--json"] + options)
        #expect(try info.json()["isolation"] as? String == place, "\(words)")
      }
      let tensors = try ["none", "process"].map { place in
        let run = try reft(
          ["train", bench.path("run.yaml"), "--output", bench.path(place), "--isolation", place]
        )
        #expect(run.status == 0, "\(run.errors)")
        let path = bench.path("\(place)/adapter/adapter_model.safetensors")
        return try Data(contentsOf: URL(fileURLWithPath: path))
      }
      #expect(tensors[0] == tensors[1])
      let slip = try reft(["plugin", "list", "--isolation", "lorefft=process"])
      #expect(slip.status == 69)
      #expect(slip.errors.contains("no plugin is named 'lorefft'; did you mean 'loreft'?"))
      let wrong = try reft(["plugin", "list", "--isolation", "sandbox"])
      #expect(wrong.status == 64)
      #expect(wrong.errors.contains("--isolation 'sandbox' must be none or process"))
    }
  }

  private func status(_ bench: Workbench) throws -> String {
    let data = try Data(contentsOf: URL(fileURLWithPath: bench.path("run/manifest.json")))
    let manifest = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    return "\(manifest["status"] ?? "") \(manifest["step"] ?? "")"
  }
}
