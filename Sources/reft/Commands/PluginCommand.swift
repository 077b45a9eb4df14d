// SPDX-License-Identifier: Apache-2.0
// `reft plugin`: which plugins there are, what they understand, and whether they keep the ABI's law.

import ArgumentParser
import Foundation
import ReFTHost
import ReFTTensor

struct PluginCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plugin",
    abstract: "List, describe, check, install and make plugins.",
    subcommands: [
      List.self, Info.self, Check.self, Install.self, Remove.self, Trust.self, New.self,
    ]
  )

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the plugins on the search path, and what was refused and why.",
      discussion: """
        Searched in this order: --plugin-path, REFT_PLUGIN_PATH, your own folder \
        (~/.local/share/reft/plugins, or $REFT_HOME/plugins), the folder of the program, \
        /usr/lib/reft/plugins; never the current folder. The first one that has a plugin decides, \
        here as everywhere.

        EXAMPLES
          reft plugin list
          reft plugin list --plugin-path build/plugins --json
        """
    )

    @OptionGroup var plugins: PluginOptions
    @OptionGroup var common: CommonOptions

    func run() throws {
      let page = try PluginListPage(plugins.catalog(tellsRefusals: false), TrustStore())
      if common.json { return try Output.json(page) }
      page.show()
    }
  }

  struct Info: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show a plugin's formula, options, parameters and promises.",
      discussion: """
        Parameters are those of an instance with default options for rows of --width numbers.

        EXAMPLES
          reft plugin info loreft
          reft plugin info ./my-edit.so --json
        """
    )

    @Argument(help: "A plugin's name or id, or the path of its file.")
    var name: String
    @Option(help: "Numbers in a row, for the shapes of the parameters.")
    var width = 576
    @OptionGroup var plugins: PluginOptions
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (1...1 << 20).contains(width) else {
        throw ValidationError("--width is \(width); it must be from 1 to 1048576")
      }
    }

    func run() throws {
      let store = TrustStore()
      for (index, plugin) in try found().enumerated() {
        let page = try PluginPage(plugin, width: width, store: store)
        if common.json {
          try Output.json(page)
          return
        }
        if index > 0 { Output.line() }
        page.show()
      }
    }

    private func found() throws -> [Plugin] {
      let catalog = try plugins.catalog()
      let isFile = name.contains("/") || [".so", ".reft.json"].contains(where: name.hasSuffix)
      guard isFile else { return [try catalog.find(name)] }
      let path = URL(fileURLWithPath: name).standardizedFileURL.path
      return try catalog.plugins(inFile: path)
    }
  }
}
