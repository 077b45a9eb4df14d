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
    plugin(
      "missing file",
      "plugin file '$T/p.so' cannot be read: No such file or directory; check "
        + "the path and its permissions",
      status: 66
    ) { _ in },
    plugin(
      "no ELF file",
      "plugin file '$T/p.so' is no shared library for this machine: it does "
        + "not begin with the ELF mark; build it with `cc -shared -fPIC`"
    ) { try $0.write("#!/bin/sh\necho hello\n", to: "p.so") },
    plugin(
      "cut off after the ELF header",
      "plugin file '$T/p.so' is no shared library for this machine: it is "
        + "damaged: a table at 64 in a file of 64 bytes; build it with `cc -shared "
        + "-fPIC`"
    ) { bench in
      try bench.compile("int number = 1;", to: "whole.so")
      try bench.write(Array(try bench.read("whole.so").prefix(64)), to: "p.so")
    },
    plugin(
      "no entry symbol",
      "plugin file '$T/p.so' exports no function reft_plugin_entry_v1, so it "
        + "is no plugin; define it with REFT_EXPORT, or write a manifest for a "
        + "plain C function"
    ) { bench in
      try bench.compile("int number(void) { return 1; }", to: "p.so")
    },
    plugin(
      "another ABI",
      "plugin file '$T/p.so' speaks ABI major 7; this program speaks 1; "
        + "rebuild it against reft_plugin.h 1.x or update reft"
    ) { bench in
      try bench.compile(source(major: "7", table: ""), to: "p.so")
    },
    plugin(
      "empty slots in its table",
      "plugin file '$T/p.so' breaks the ABI: plugin 'org.example.bad' leaves "
        + "the required slot create, destroy, param_info, plan, forward, backward "
        + "null; `reft plugin check` tells its author more"
    ) { bench in
      try bench.compile(source(table: ""), to: "p.so")
    },
    WrongInput(
      id: "plugin: unknown name",
      status: 69,
      message: "no plugin is named 'no-such'; searched $B; put its .so into one of "
        + "these or name its folder with --plugin-path",
      call: ["plugin", "info", "no-such"]
    ),
    WrongInput(
      id: "plugin: name that cannot be one",
      status: 64,
      message: "'My_Edit' cannot be the name of a plugin; use up to 64 lower-case "
        + "letters, digits and single hyphens, beginning with a letter, such as "
        + "'my-edit'",
      call: ["plugin", "new", "My_Edit"]
    ),
    WrongInput(
      id: "plugin: check of a missing file",
      status: 66,
      message: "Cannot read the plugin file $T/p.so: No such file or directory. Give "
        + "the path of a .so file.",
      call: ["plugin", "check", "$T/p.so"]
    ),
    WrongInput(
      id: "plugin: check at level 9",
      status: 64,
      message: "There is no check level 9. Choose 1 to 5.",
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
    WrongInput(
      id: "call: unknown command",
      status: 64,
      message: "'trian' is no command of reft; did you mean 'train'? see 'reft --help'",
      call: ["trian"]
    ),
    WrongInput(
      id: "call: unknown command of a group",
      status: 64,
      message: "'remvoe' is no command of reft plugin; did you mean 'remove'? see 'reft plugin "
        + "--help'",
      call: ["plugin", "remvoe", "foo"]
    ),
    WrongInput(
      id: "call: unknown option",
      status: 64,
      message: "Unknown option '--jsn'. Did you mean '--json'?; see 'reft doctor --help'",
      call: ["doctor", "--jsn"]
    ),
    WrongInput(
      id: "call: missing argument",
      status: 64,
      message: "Missing expected argument '<config>'; see 'reft train --help'",
      call: ["train"]
    ),
    generate(
      "two prompts",
      "give exactly one of --prompt, --chat, --instruction and --input, found "
        + "2; see 'reft generate --help'",
      ["--prompt", "a", "--chat", "b"]
    ),
    generate(
      "no prompt",
      "give exactly one of --prompt, --chat, --instruction and --input, found "
        + "0; see 'reft generate --help'",
      []
    ),
    generate(
      "value that begins with a dash",
      "Missing value for '--prompt <prompt>'; a value that begins with '-' is written --option=VALUE; "
        + "see 'reft generate --help'",
      ["--prompt", "-5 degrees"]
    ),
    generate(
      "option of one value twice",
      "--prompt is given 2 times and takes one value; give it once; see 'reft generate --help'",
      ["--prompt", "a", "--prompt=b"]
    ),
    generate(
      "template without anything to word",
      "--template words an --instruction or the rows of an --input, and neither is given; see 'reft "
        + "generate --help'",
      ["--prompt", "a", "--template", "alpaca"]
    ),
    generate(
      "two precisions",
      "give --exact or --activations int8, not both; see 'reft generate --help'",
      ["--prompt", "a", "--exact", "--activations", "int8"]
    ),
    generate(
      "empty prompt",
      "the prompt has no token, and the model adds no start token of its own; "
        + "give some text",
      ["--prompt", ""]
    ),
    generate(
      "temperature below zero",
      "temperature is -1.0; expected 0 or more; choose a value in this range",
      ["--prompt", "a", "--temperature=-1"]
    ),
    generate(
      "no tokens",
      "max-tokens is 0; expected 1 or more",
      ["--prompt", "a", "--max-tokens", "0"]
    ),
    generate(
      "more tokens than the context holds",
      "the prompt has 1 tokens and 600 more may follow, but the model's "
        + "context holds 512; ask for at most 511 tokens",
      ["--prompt", "a", "--max-tokens", "600"]
    ),
    generate(
      "unknown template",
      "there is no template 'alpacca'; did you mean 'alpaca'? expected none, "
        + "alpaca, chat, or a text with {instruction}, {input} and {output}",
      status: 78,
      ["--instruction", "a", "--template", "alpacca"]
    ),
    WrongInput(
      id: "call: gradients without an adapter",
      status: 64,
      message: "gradients are those of one adapter's parameters, and there is none; give "
        + "--adapter",
      call: [
        "score", "--model", "$T/tiny.gguf", "--data", "$T/rows.jsonl", "--gradients", "$T/g",
      ],
      prepare: { try $0.writeRun() }
    ),
    WrongInput(
      id: "call: run folder that holds a run",
      status: 64,
      message: "'$T/run' holds a finished run; choose another --output, or train it "
        + "anew with --overwrite",
      call: ["train", "$T/run.yaml"],
      prepare: { bench in
        try bench.writeRun()
        let first = try Tool.reft(["train", bench.path("run.yaml")], folder: bench.folder)
        if first.status != 0 { throw Workbench.CompilerFailure(text: first.errors) }
      }
    ),
  ]
}
