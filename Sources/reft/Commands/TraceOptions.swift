// SPDX-License-Identifier: Apache-2.0
// Whether the user wants to see what edits change.

import ArgumentParser
import ReFTHost
import ReFTTensor

/// Whether, and where to, changes are traced.
struct TraceOptions: ParsableArguments {
  @Flag(
    help: """
      Show which token was changed at which site by how much, as a part of the row's length; with \
      --json as 'trace'.
      """
  )
  var trace = false

  @Option(
    name: .customLong("trace-file"),
    help: ArgumentHelp("Write what --trace shows to a file.", valueName: "out.json")
  )
  var traceFile: String?

  /// Makes sure of the place of the file before any work is done for it.
  func check(inputs: [String], adapters: AdapterOptions) throws {
    guard let traceFile else { return }
    let files = try adapters.words().flatMap {
      [$0.path + "/adapter_model.safetensors", $0.path + "/adapter_config.json"]
    }
    try ResultFile(option: "--trace-file", path: traceFile).check(
      inputs: inputs + files,
      kind: "trace"
    ) { path in
      (try? JSONFile.read(path: path))?["trace"] != nil
    }
  }

  /// Where changes are collected; nil where nobody wants them.
  func collector(_ adapters: AdapterStack) -> EditTrace? {
    guard trace || traceFile != nil else { return nil }
    if adapters.isEmpty {
      Output.note("warning: --trace shows what adapters change, and there is none; give --adapter")
    }
    return EditTrace()
  }

  /// Shows the table, unless the document of the command has it, and writes the file.
  func show(_ view: TraceView?, json: Bool) throws {
    guard let view else { return }
    if let traceFile { try view.write(to: traceFile) }
    if trace, !json { view.show() }
  }
}
