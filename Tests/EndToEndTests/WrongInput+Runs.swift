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
    train(
      "config: missing file",
      "there is no configuration '$T/run.yaml'; check the path",
      status: 66
    ) { _ in },
    train(
      "config: empty file",
      "$T/run.yaml:1:1: the configuration is empty; it needs at least model, "
        + "data.train and interventions",
      status: 78
    ) { try $0.writeRun(config: "") },
    train(
      "config: no YAML",
      "$T/run.yaml:3:1: not YAML: did not find expected ',' or ']'; check "
        + "indentation, colons and quotes",
      status: 78
    ) { try $0.writeRun(config: "model: [tiny\ndata") },
    train(
      "config: not UTF-8",
      "$T/run.yaml:1:2: bytes that are not UTF-8; save the file as UTF-8 text",
      status: 78
    ) { bench in
      try bench.write([0x6d, 0xff, 0xfe], to: "run.yaml")
    },
    config(
      "unknown key",
      "$T/run.yaml:13:3: unknown key 'batchsize' in 'train'; did you mean "
        + "'batch_size'? Valid keys: objective, beta, margin, "
        + "length_normalized, epochs, max_steps, batch_size, "
        + "micro_batch_tokens, learning_rate, schedule, warmup, weight_decay, "
        + "clip_norm, betas, epsilon, seed, save_every, eval_every, "
        + "keep_checkpoints, validate, metric, patience, "
        + "result, init_adapter, cache_megabytes, tensorboard",
      "batch_size: 2",
      "batchsize: 2"
    ),
    config(
      "wrong type",
      "$T/run.yaml:12:11: 'train.epochs' must be a whole number from 1 to "
        + "1000000, found 'many'",
      "epochs: 1",
      "epochs: many"
    ),
    config(
      "impossible value",
      "$T/run.yaml:13:15: 'train.batch_size' is '0', which cannot be; expected "
        + "a whole number from 1 to 65536",
      "batch_size: 2",
      "batch_size: 0"
    ),
    config(
      "missing key",
      "$T/run.yaml:2:1: key 'model' is missing; name a .gguf file or a model "
        + "of the library",
      "model: tiny.gguf",
      ""
    ),
    config(
      "model that is not there",
      "no model 'lost.gguf' as a path or in $T/home/models; there are none "
        + "yet, and 'reft model pull smollm2-135m-instruct' fetches a small one",
      status: 66,
      "tiny.gguf",
      "lost.gguf"
    ),
    config(
      "layer that the model lacks",
      "$T/run.yaml:6:5: 'layers' names block 2, but the model has blocks 0 to 1",
      "layers: [0, 1]",
      "layers: [0, 2]"
    ),
    config(
      "unknown component",
      "$T/run.yaml:8:16: 'interventions.0.component' must be one of "
        + "block_input, block_output, attention_input, query_output, key_output, "
        + "value_output, attention_value_output, attention_output, mlp_input, "
        + "mlp_activation, mlp_output; found 'block_outputs' (did you mean "
        + "'block_output'?)",
      "block_output",
      "block_outputs"
    ),
    config(
      "positions that are no rule",
      "$T/run.yaml:9:16: 'interventions.0.positions': positions 'first' cannot "
        + "be read: 'f' wants a whole number from 1 to 2147483647, not 'irst'; the "
        + "forms are f7+l7, f3, l1, all, every:4, [0,5,-1], [2:10], after:\"text\", "
        + "tokens:\" the\"|262, random:3 and none, joined by +, with weights such as f3*0.5, "
        + "and with +decode at the end if wanted",
      "f1+l1",
      "first"
    ),
    config(
      "rank above the width",
      "plugin 'loreft' failed in create with REFT_E_INVALID: rank must lie "
        + "between 1 and the width of a row; change its options or where it works",
      "rank: 2",
      "rank: 65"
    ),
    config(
      "rank of zero",
      "$T/run.yaml:10:21: 'interventions.0.options.rank': option 'rank' of plugin 'loreft' is 0 (a "
        + "whole number); it must be a whole number from 1 to 65536",
      "rank: 2",
      "rank: 0"
    ),
    config(
      "option that the plugin lacks",
      "$T/run.yaml:10:15: 'interventions.0.options.rnk': plugin 'loreft' has no option 'rnk'; it has "
        + "activation, dropout, init, rank, subspace, subspaces; did you mean 'rank'?",
      "{rank: 2}",
      "{rnk: 2}"
    ),
    config(
      "option of another type",
      "$T/run.yaml:10:21: 'interventions.0.options.rank': option 'rank' of plugin 'loreft' is high (a "
        + "text); it must be a whole number",
      "{rank: 2}",
      "{rank: high}"
    ),
    config(
      "plugin that is not there",
      "no plugin is named 'lorefft'; did you mean 'loreft'?; searched $B; put "
        + "its .so into one of these or name its folder with --plugin-path",
      status: 69,
      "loreft",
      "lorefft"
    ),
    train(
      "config: UTF-16",
      "$T/run.yaml:1:1: the text is UTF-16 or UTF-32; save the file as UTF-8 text",
      status: 78
    ) { bench in
      try bench.write([0xFF, 0xFE, 0x6D, 0x00], to: "run.yaml")
    },
    config(
      "length beyond all numbers",
      "$T/run.yaml:4:15: 'data.max_length' is '9223372036854775808', which cannot be; expected "
        + "a whole number from 2 to 1048576",
      "max_length: 64",
      "max_length: 9223372036854775808"
    ),
    train(
      "config: one key set twice",
      "--set train.epochs=2: --set train.epochs=1 sets the same; keep one",
      status: 78,
      set: ["train.epochs=1", "train.epochs=2"]
    ) { try $0.writeRun() },
    train(
      "config: override without a value",
      "--set train.epochs: expected KEY=VALUE, such as train.learning_rate=1e-3",
      status: 78,
      set: ["train.epochs"]
    ) { try $0.writeRun() },
    train(
      "config: override of an unknown key",
      "--set train.epoch=2: unknown key 'epoch' in 'train'; did you mean "
        + "'epochs'? Valid keys: objective, beta, margin, "
        + "length_normalized, epochs, max_steps, batch_size, "
        + "micro_batch_tokens, learning_rate, schedule, warmup, weight_decay, "
        + "clip_norm, betas, epsilon, seed, save_every, eval_every, "
        + "keep_checkpoints, validate, metric, patience, "
        + "result, init_adapter, cache_megabytes, tensorboard",
      status: 78,
      set: ["train.epoch=2"]
    ) { try $0.writeRun() },
  ]

  static let dataFiles: [WrongInput] = [
    data(
      "no row with an edit",
      "$T/rows.jsonl:1: positions 'f1+l1' edit no token of any of the 1 rows, so training would "
        + "change nothing; of this row, its prompt has 1 token, and each end is clipped to half of it, "
        + "rounded down; take positions such as 'all', or rows with longer prompts",
      "{\"prompt\": \"a\", \"completion\": \" hello\"}\n"
    ),
    WrongInput(
      id: "data: row beyond the context in score",
      status: 65,
      message: "$T/rows.jsonl:2: more than 512 tokens, the most that the model's context holds; "
        + "shorten the row, or cut it with --max-length 512",
      call: ["score", "--model", "$T/tiny.gguf", "--data", "$T/rows.jsonl"],
      prepare: { bench in
        let ids = Array(repeating: "1", count: 600).joined(separator: ",")
        try bench.writeRun(
          rows: "{\"ids\": [1, 2], \"labels\": [1, 2]}\n{\"ids\": [\(ids)], \"labels\": [\(ids)]}\n"
        )
      }
    ),
    train("data: missing file", "File '$T/lost.jsonl' does not exist; check the path.", status: 66)
    { bench in
      try bench.writeRun(config: Workbench.config.replacing("rows.jsonl", with: "lost.jsonl"))
    },
    data(
      "empty file",
      "$T/rows.jsonl:1: no rows; expected one JSON object per line, or a JSON "
        + "list of them",
      ""
    ),
    data(
      "no JSON",
      "$T/rows.jsonl:5:31: not JSON: the text ends where a value should stand; "
        + "expected one JSON object per line, or a JSON list of them",
      Workbench.rows + "{\"prompt\": \"a\", \"completion\": \n"
    ),
    data(
      "list in place of an object",
      "$T/rows.jsonl:5: expected an object such as {\"prompt\":…}, found a "
        + "number",
      Workbench.rows + "3\n"
    ),
    data(
      "keys of no format",
      "$T/rows.jsonl:1: expected {\"prompt\",\"completion\"}, "
        + "{\"instruction\",\"input\",\"output\"}, {\"messages\"}, {\"text\"}, "
        + "{\"question\",\"answer\"} or {\"ids\",\"labels\"}, found the keys "
        + "\"question\"",
      "{\"question\": \"a\"}\n"
    ),
    data(
      "number in place of text",
      "$T/rows.jsonl:1:12: \"prompt\" must be a text, found a number",
      "{\"prompt\": 3, \"completion\": \"b\"}\n"
    ),
    data(
      "token outside the vocabulary",
      "$T/rows.jsonl:1: \"ids\" holds 999999, which is no token of this model; "
        + "expected 0 to 299",
      "{\"ids\": [1, 999999], \"labels\": [-100, 5]}\n"
    ),
    data(
      "labels of another length",
      "$T/rows.jsonl:1: 3 ids and 2 labels; expected as many of both, at least "
        + "one",
      "{\"ids\": [1, 2, 3], \"labels\": [-100, 5]}\n"
    ),
    data(
      "nothing to learn",
      "$T/rows.jsonl: none of its 1 rows has a token to learn, the first at $T/rows.jsonl:1; give "
        + "the rows completions, or labels other than -100 after the first token",
      "{\"ids\": [1, 2], \"labels\": [-100, -100]}\n"
    ),
    data(
      "doubled key",
      "$T/rows.jsonl:2:36: not JSON: key \"prompt\" stands twice in one object, "
        + "first at 2:2; expected one JSON object per line, or a JSON list of them",
      "[{\"prompt\": \"a\", \"completion\": \"b\"},\n"
        + "{\"prompt\": \"a\", \"completion\": \"b\", \"prompt\": \"c\"}]\n"
    ),
    WrongInput(
      id: "data: prompts with a doubled key",
      status: 65,
      message: "$T/rows.jsonl:1:17: not JSON: key \"prompt\" stands twice in one object, first at "
        + "1:2; expected one JSON object per line, or a JSON list of them",
      call: ["generate", "--model", "$T/tiny.gguf", "--input", "$T/rows.jsonl"],
      prepare: { try $0.writeRun(rows: "{\"prompt\": \"a\", \"prompt\": \"b\"}\n") }
    ),
    data(
      "escape sequence in a key",
      "$T/rows.jsonl:1: expected {\"prompt\",\"completion\"}, "
        + "{\"instruction\",\"input\",\"output\"}, {\"messages\"}, {\"text\"}, "
        + "{\"question\",\"answer\"} or {\"ids\",\"labels\"}, found the keys \"\\u001b[31mk\"",
      "{\"\\u001b[31mk\":1}\n"
    ),
    data(
      "system and history without a chat template",
      "$T/rows.jsonl:1:43: \"system\" would change what the model sees, and nothing reads it here; "
        + "write the row as {\"messages\"}, or take the template 'chat'",
      "{\"instruction\":\"and now?\",\"output\":\"fine\",\"system\":\"You are a pirate.\","
        + "\"history\":[[\"hello\",\"ahoy\"]]}\n"
    ),
    train(
      "data: not UTF-8",
      "$T/rows.jsonl:1:32: bytes that are not UTF-8; save the file as UTF-8 text",
      status: 65
    ) { bench in
      try bench.writeRun()
      try bench.write(
        Array("{\"prompt\": \"a\", \"completion\": \"".utf8) + [0xff, 0xfe] + Array("\"}\n".utf8),
        to: "rows.jsonl"
      )
    },
    WrongInput(
      id: "data: prompts without a prompt",
      status: 65,
      message:
        "$T/rows.jsonl:1: expected {\"prompt\"}, {\"instruction\",\"input\"}, {\"messages\"}, "
        + "{\"chat\"}, {\"question\"} or {\"ids\"}, found the keys \"text\"",
      call: ["generate", "--model", "$T/tiny.gguf", "--input", "$T/rows.jsonl"],
      prepare: { try $0.writeRun(rows: "{\"text\": \"a\"}\n") }
    ),
  ]
}
