// SPDX-License-Identifier: Apache-2.0
// Options that several commands share.

import ArgumentParser
import ReFTHost
import ReFTModel

/// Options of every command.
struct CommonOptions: ParsableArguments {
  @Flag(help: "Print the result as one JSON document.")
  var json = false

  @Flag(help: "With an error, print where it comes from and its causes.")
  var verbose = false
}

/// The model that a command works with.
struct ModelOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A .gguf file, or the short name of one under $REFT_HOME/models.",
      valueName: "model"
    )
  )
  var model: String

  /// The path of the model file.
  func path() throws -> String { try ModelLibrary().resolve(model) }
}

/// Where plugins are looked for.
struct PluginOptions: ParsableArguments {
  @Option(
    name: .customLong("plugin-path"),
    parsing: .singleValue,
    help: ArgumentHelp("A folder to look for plugins first; may be repeated.", valueName: "folder")
  )
  var pluginPath: [String] = []

  /// The plugins of this machine.
  func catalog() -> PluginCatalog { PluginCatalog(extraPaths: pluginPath) }
}
