// SPDX-License-Identifier: Apache-2.0
// `reft plugin`: which plugins there are, what they understand, and whether they keep the ABI's law.

import ArgumentParser
import Foundation
import ReFTHost
import ReFTTensor

struct PluginCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plugin",
    abstract: "List, describe, check and make plugins.",
    subcommands: [List.self, Info.self, Check.self, New.self, Trust.self]
  )

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the plugins on the search path, and what was refused and why.",
      discussion: """
        Searched in this order: --plugin-path, REFT_PLUGIN_PATH, ~/.local/share/reft/plugins, the \
        folder of the program, /usr/lib/reft/plugins; never the current folder.

        EXAMPLES
          reft plugin list
          reft plugin list --plugin-path build/plugins --json
        """
    )

    @OptionGroup var plugins: PluginOptions
    @OptionGroup var common: CommonOptions

    private struct Row: Encodable {
      var name: String
      var id: String
      var version: String
      var abi: String
      var path: String
      var hash: String
      var capabilities: [String]
      var shadowed: Bool
      var trust: String
      var check: String
      var isolation: String
    }
    private struct Refusal: Encodable {
      var path: String
      var message: String
    }
    private struct Document: Encodable {
      var plugins: [Row]
      var refused: [Refusal]
    }

    func run() throws {
      var rows: [Row] = []
      var refused: [Refusal] = []
      let store = TrustStore()
      for entry in try plugins.catalog().list() {
        switch entry {
        case .plugin(let plugin, let isShadowed):
          rows.append(
            Row(
              name: plugin.name,
              id: plugin.id,
              version: plugin.version,
              abi: plugin.abi,
              path: plugin.path,
              hash: plugin.hash,
              capabilities: plugin.capabilities.names,
              shadowed: isShadowed,
              trust: try store.trust(hash: plugin.hash, path: plugin.path).description,
              check: try store.lastCheck(hash: plugin.hash).description,
              isolation: plugin.isolation.rawValue
            )
          )
        case .refused(let path, let error):
          refused.append(Refusal(path: path, message: error.message))
        }
      }
      if common.json { return try Output.json(Document(plugins: rows, refused: refused)) }
      Output.table(
        [["NAME", "VERSION", "ABI", "HASH", "TRUST", "CHECK", "RUNS", "FILE"]]
          + rows.map { row in
            let hash = String(row.hash.dropFirst("sha256:".count).prefix(12))
            return [
              row.name, row.version, row.abi, hash, row.trust, row.check,
              row.isolation == "none" ? "in process" : "isolated",
              row.path + (row.shadowed ? "  (shadowed)" : ""),
            ]
          }
      )
      for refusal in refused { Output.note("refused: \(refusal.message)") }
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

    func run() throws {
      for (index, plugin) in try found().enumerated() {
        let page = try PluginPage(plugin, width: width)
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
      guard name.contains("/") else { return [try catalog.find(name)] }
      let path = URL(fileURLWithPath: name).standardizedFileURL.path
      return try catalog.plugins(inFile: path)
    }
  }
}
