// SPDX-License-Identifier: Apache-2.0
// `reft model`: what a model file holds, and fetching one.

import ArgumentParser
import ReFTModel
import ReFTTensor

struct ModelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model",
    abstract: "Look at and fetch frozen models.",
    subcommands: [Pull.self]
  )

  struct Pull: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Fetch a model into $REFT_HOME/models and check its SHA-256.",
      discussion: """
        Known names: \(ModelLibrary.known.map(\.name).joined(separator: ", ")). A download from an \
        address goes on where an earlier one stopped.

        EXAMPLES
          reft model pull smollm2-135m-instruct
          reft model pull https://example.org/model.gguf --sha256 0123…
        """
    )

    @Argument(help: "A known name, or the https:// address of a .gguf file.")
    var name: String
    @Option(help: "The SHA-256 that the file must have, in hex.")
    var sha256: String?
    @OptionGroup var common: CommonOptions

    private struct Document: Encodable {
      var path: String
      var sha256: String
      var bytes: Int
    }

    func run() throws {
      let pulled = try ModelLibrary().pull(name, sha256: sha256)
      if common.json {
        try Output.json(
          Document(path: pulled.path, sha256: pulled.sha256, bytes: pulled.byteCount)
        )
      } else {
        let state = pulled.isNew ? "fetched" : "already here"
        Output.line("\(pulled.path)  (\(Readable.bytes(pulled.byteCount)), \(state))")
      }
    }
  }
}
