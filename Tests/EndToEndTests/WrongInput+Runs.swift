// SPDX-License-Identifier: Apache-2.0
// Configurations and data that a run cannot start with.

import _ReFTTestSupport

extension WrongInput {
  private static func train(
    _ id: String,
    _ message: String,
    status: Int32,
    set: [String] = [],
    _ prepare: @escaping @Sendable (Workbench) throws -> Void
  ) -> WrongInput {
    WrongInput(
      id: id,
      status: status,
      message: message,
      call: ["train", "$T/run.yaml"] + set.flatMap { ["--set", $0] },
      prepare: prepare
    )
  }

  /// A sound configuration with one text replaced.
  private static func config(
    _ id: String,
    _ message: String,
    status: Int32 = 78,
    _ old: String,
    _ new: String
  ) -> WrongInput {
    train("config: " + id, message, status: status) { bench in
      try bench.writeRun(config: Workbench.config.replacing(old, with: new))
    }
  }

  private static func data(
    _ id: String,
    _ message: String,
    _ rows: String
  ) -> WrongInput {
    train("data: " + id, message, status: 65) { try $0.writeRun(rows: rows) }
  }

  static let configurations: [WrongInput] = [
    train("config: missing file", "?", status: 66) { _ in },
    train("config: empty file", "?", status: 78) { try $0.writeRun(config: "") },
    train("config: no YAML", "?", status: 78) { try $0.writeRun(config: "model: [tiny\ndata") },
    train("config: not UTF-8", "?", status: 78) { bench in
      try bench.write([0x6d, 0xff, 0xfe], to: "run.yaml")
    },
    config("unknown key", "?", "batch_size: 2", "batchsize: 2"),
    config("wrong type", "?", "epochs: 1", "epochs: many"),
    config("impossible value", "?", "batch_size: 2", "batch_size: 0"),
    config("missing key", "?", "model: tiny.gguf", ""),
    config("model that is not there", "?", status: 66, "tiny.gguf", "lost.gguf"),
    config("layer that the model lacks", "?", "layers: [0, 1]", "layers: [0, 2]"),
    config("unknown component", "?", "block_output", "block_outputs"),
    config("positions that are no rule", "?", "f1+l1", "first"),
    config("rank above the width", "?", "rank: 2", "rank: 65"),
    config("rank of zero", "?", "rank: 2", "rank: 0"),
    config("option that the plugin lacks", "?", "{rank: 2}", "{rnk: 2}"),
    config("option of another type", "?", "{rank: 2}", "{rank: high}"),
    config("plugin that is not there", "?", status: 69, "loreft", "lorefft"),
    train(
      "config: override without a value",
      "?",
      status: 78,
      set: ["train.epochs"]
    ) { try $0.writeRun() },
    train(
      "config: override of an unknown key",
      "?",
      status: 78,
      set: ["train.epoch=2"]
    ) { try $0.writeRun() },
  ]

  static let dataFiles: [WrongInput] = [
    train("data: missing file", "?", status: 66) { bench in
      try bench.writeRun(config: Workbench.config.replacing("rows.jsonl", with: "lost.jsonl"))
    },
    data("empty file", "?", ""),
    data("no JSON", "?", Workbench.rows + "{\"prompt\": \"a\", \"completion\": \n"),
    data("list in place of an object", "?", Workbench.rows + "3\n"),
    data("keys of no format", "?", "{\"question\": \"a\"}\n"),
    data("number in place of text", "?", "{\"prompt\": 3, \"completion\": \"b\"}\n"),
    data("token outside the vocabulary", "?", "{\"ids\": [1, 999999], \"labels\": [-100, 5]}\n"),
    data("labels of another length", "?", "{\"ids\": [1, 2, 3], \"labels\": [-100, 5]}\n"),
    data("nothing to learn", "?", "{\"ids\": [1, 2], \"labels\": [-100, -100]}\n"),
    train("data: not UTF-8", "?", status: 65) { bench in
      try bench.writeRun()
      try bench.write(
        Array("{\"prompt\": \"a\", \"completion\": \"".utf8) + [0xff, 0xfe] + Array("\"}\n".utf8),
        to: "rows.jsonl"
      )
    },
    WrongInput(
      id: "data: prompts without a prompt",
      status: 65,
      message: "?",
      call: ["generate", "--model", "$T/tiny.gguf", "--input", "$T/rows.jsonl"],
      prepare: { try $0.writeRun(rows: "{\"text\": \"a\"}\n") }
    ),
  ]
}
