// SPDX-License-Identifier: Apache-2.0
// Plugin files that are no plugins, and calls that make no sense.

import _ReFTTestSupport

extension WrongInput {
  private static func plugin(
    _ id: String,
    _ message: String,
    status: Int32 = 69,
    _ prepare: @escaping @Sendable (Workbench) throws -> Void
  ) -> WrongInput {
    WrongInput(
      id: "plugin: " + id,
      status: status,
      message: message,
      call: ["plugin", "info", "$T/p.so"],
      prepare: prepare
    )
  }

  /// A plugin whose library says what `fields` say, with one intervention whose table is empty but
  /// for what `table` sets.
  private static func source(major: String = "REFT_ABI_MAJOR", table: String) -> String {
    """
    #include "reft_plugin.h"
    #define TEXT(s) {s, sizeof(s) - 1}
    static const reft_plugin_t plugin = {
        .struct_size = sizeof(reft_plugin_t), .id = TEXT("org.example.bad"),
        .version = TEXT("1.0.0"), .summary = TEXT("a test"), .license = TEXT("Apache-2.0"),
        .dtypes = 1u << REFT_F32, \(table)};
    static const reft_plugin_t *const plugins[] = {&plugin};
    static const reft_library_t library = {
        .struct_size = sizeof(reft_library_t), .abi_major = \(major), .abi_minor = REFT_ABI_MINOR,
        .n_plugins = 1, .plugins = plugins};
    const reft_library_t *reft_plugin_entry_v1(const reft_entry_args_t *args) {
      (void)args;
      return &library;
    }
    """
  }

  static let plugins: [WrongInput] = [
    plugin("missing file", "?", status: 66) { _ in },
    plugin("no ELF file", "?") { try $0.write("#!/bin/sh\necho hello\n", to: "p.so") },
    plugin("cut off after the ELF header", "?") { bench in
      try bench.compile("int number = 1;", to: "whole.so")
      try bench.write(Array(try bench.read("whole.so").prefix(64)), to: "p.so")
    },
    plugin("no entry symbol", "?") { bench in
      try bench.compile("int number(void) { return 1; }", to: "p.so")
    },
    plugin("another ABI", "?") { bench in
      try bench.compile(source(major: "7", table: ""), to: "p.so")
    },
    plugin("empty slots in its table", "?") { bench in
      try bench.compile(source(table: ""), to: "p.so")
    },
    WrongInput(
      id: "plugin: unknown name",
      status: 69,
      message: "?",
      call: ["plugin", "info", "no-such"]
    ),
    WrongInput(
      id: "plugin: name that cannot be one",
      status: 64,
      message: "?",
      call: ["plugin", "new", "My_Edit"]
    ),
    WrongInput(
      id: "plugin: check of a missing file",
      status: 66,
      message: "?",
      call: ["plugin", "check", "$T/p.so"]
    ),
    WrongInput(
      id: "plugin: check at level 9",
      status: 64,
      message: "?",
      call: ["plugin", "check", "$T/p.so", "--level", "9"]
    ),
  ]

  private static func generate(
    _ id: String,
    _ message: String,
    status: Int32 = 64,
    _ arguments: [String]
  ) -> WrongInput {
    WrongInput(
      id: "call: " + id,
      status: status,
      message: message,
      call: ["generate", "--model", "$T/tiny.gguf"] + arguments,
      prepare: { try TinyModel().write(in: $0.folder) }
    )
  }

  static let calls: [WrongInput] = [
    WrongInput(id: "call: unknown command", status: 64, message: "?", call: ["trian"]),
    WrongInput(id: "call: unknown option", status: 64, message: "?", call: ["doctor", "--jsn"]),
    WrongInput(id: "call: missing argument", status: 64, message: "?", call: ["train"]),
    generate("two prompts", "?", ["--prompt", "a", "--chat", "b"]),
    generate("no prompt", "?", []),
    generate("empty prompt", "?", ["--prompt", ""]),
    generate("temperature below zero", "?", ["--prompt", "a", "--temperature=-1"]),
    generate("no tokens", "?", ["--prompt", "a", "--max-tokens", "0"]),
    generate("more tokens than the context holds", "?", ["--prompt", "a", "--max-tokens", "600"]),
    generate("unknown template", "?", status: 78, ["--instruction", "a", "--template", "alpacca"]),
    WrongInput(
      id: "call: gradients without an adapter",
      status: 64,
      message: "?",
      call: [
        "score", "--model", "$T/tiny.gguf", "--data", "$T/rows.jsonl", "--gradients", "$T/g",
      ],
      prepare: { try $0.writeRun() }
    ),
    WrongInput(
      id: "call: run folder that holds a run",
      status: 64,
      message: "?",
      call: ["train", "$T/run.yaml"],
      prepare: { bench in
        try bench.writeRun()
        let first = try Tool.reft(["train", bench.path("run.yaml")], folder: bench.folder)
        if first.status != 0 { throw Workbench.CompilerFailure(text: first.errors) }
      }
    ),
  ]
}
