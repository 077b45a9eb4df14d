// SPDX-License-Identifier: Apache-2.0
// `reft adapter combine`: one adapter that is the sum of several, where that is exact.

import ArgumentParser
import ReFTHost
import ReFTTensor

extension AdapterCommand {
  struct Combine: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make one adapter that is the sum of several, where there is one exactly.",
      discussion: """
        The result edits as the adapters do together under --compose sum, each times its strength. It exists \
        where the edit is affine in its parameters and the adapters agree in plugin, places and options: \
        additive-steering and red always; loreft (also with disjoint subspaces), lobireft, direft and noreft \
        with the same projection; consreft with strengths that come to 1. Else use them together at run time. \
        Neither model nor plugins are needed.

        EXAMPLES
          reft adapter combine runs/polite/adapter:0.5 runs/brief/adapter --output both
          reft adapter combine calm:-1 --output anxious
        """
    )

    @Argument(help: ArgumentHelp("Adapter folders and strengths.", valueName: "folder[:strength]"))
    var adapters: [String]
    @Option(help: ArgumentHelp("The adapter folder to make.", valueName: "folder"))
    var output: String
    @OptionGroup var common: CommonOptions

    private struct Document: Encodable {
      struct Part: Encodable {
        var adapter: String
        var strength: Float
      }
      var adapter: String
      var parts: [Part]
      var parameters: Int
      var notes: [String]
    }

    func run() throws {
      let words = try adapters.map { try AdapterWord($0) }
      for word in words where PluginPlaces.isSame(word.path, output) {
        throw ReFTError(
          .usage,
          "--output '\(output)' is one of the adapters itself; choose another folder"
        )
      }
      try NewFolder.check(output, option: "--output")
      let combination = try AdapterCombination(words)
      let count = try combination.write(to: output)
      for note in combination.notes { Output.note("warning: \(note)") }
      if common.json {
        return try Output.json(
          Document(
            adapter: output,
            parts: words.map { Document.Part(adapter: $0.path, strength: $0.strength) },
            parameters: count,
            notes: combination.notes
          )
        )
      }
      Output.line("\(Readable.count(count)) parameters in \(output)")
    }
  }
}
