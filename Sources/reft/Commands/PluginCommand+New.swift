// SPDX-License-Identifier: Apache-2.0
// `reft plugin new`: a folder with a working plugin to start from.

import ArgumentParser
import Foundation
import ReFTTemplates
import ReFTTensor

extension PluginCommand {
  struct New: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a folder with a working plugin to start from.",
      discussion: """
        In the folder, 'make' builds NAME.so, 'make check' checks it and 'make install' puts it where \
        it is found; it needs nothing of reft's repository.

        EXAMPLES
          reft plugin new my-edit --language c
          reft plugin new my-edit --language rust
          reft plugin new my-edit --language swift --output ~/plugins/my-edit
        """
    )

    @Argument(help: "The plugin's name: lower-case letters, digits and hyphens.")
    var name: String
    @Option(help: ArgumentHelp("\(PluginTemplate.list).", valueName: "language"))
    var language = "c"
    @Option(help: "The folder to make; without it, the name.")
    var output: String?
    @OptionGroup var common: CommonOptions

    private struct Document: Encodable {
      var folder: String
      var files: [String]
    }

    func run() throws {
      let template = try PluginTemplate(language: language)
      let folder = URL(fileURLWithPath: output ?? name).standardizedFileURL.path
      let files = try template.create(name: name, in: folder)
      if common.json { return try Output.json(Document(folder: folder, files: files)) }
      Output.line("made \(folder): \(files.joined(separator: ", "))")
      Output.line("next: cd \(output ?? name) && make && make check && make install")
    }
  }
}
