// SPDX-License-Identifier: Apache-2.0
// `reft model`: what a model file holds, and fetching one.

import ArgumentParser
import ReFTModel
import ReFTTensor

struct ModelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model",
    abstract: "Look at and fetch frozen models.",
    subcommands: [Info.self, Pull.self]
  )

  struct Info: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show what a model file holds; reads its header only.",
      discussion: """
        EXAMPLES
          reft model info smollm2-135m-instruct
          reft model info ./model.gguf --json
          reft model info ./folder --plan
        """
    )

    @Argument(help: "A .gguf file, a Hugging Face folder, or a short name under $REFT_HOME/models.")
    var model: String
    @Flag(help: "Print what the model computes, block by block.") var plan = false
    @OptionGroup var common: CommonOptions

    private struct Document: Encodable {
      var architecture: String
      var parameters: Int
      var layers: Int
      var hidden_size: Int
      var heads: Int
      var kv_heads: Int
      var vocab_size: Int
      var context_length: Int
      var file_type: String
      var fingerprint: String
      var components: [String]
      var plan: String?
    }

    func run() throws {
      let path = try ModelLibrary().resolve(model)
      let file = try ModelFiles.open(path)
      let configuration = try ModelConfiguration(file)
      let text = plan ? try Architectures.plan(file).description : nil
      let parameters = file.tensors.reduce(0) { $0 + $1.elementCount }
      let components = Component.allCases.map(\.rawValue)
      if common.json {
        try Output.json(
          Document(
            architecture: configuration.architecture,
            parameters: parameters,
            layers: configuration.layers,
            hidden_size: configuration.hiddenSize,
            heads: configuration.heads,
            kv_heads: configuration.keyValueHeads,
            vocab_size: configuration.vocabularySize,
            context_length: configuration.contextLength,
            file_type: configuration.fileType,
            fingerprint: file.fingerprint,
            components: components,
            plan: text
          )
        )
        return
      }
      if let text { return Output.line(text) }
      Output.table([
        ["name", configuration.name],
        ["architecture", configuration.architecture],
        ["parameters", Readable.count(parameters)],
        ["layers", String(configuration.layers)],
        ["hidden size", String(configuration.hiddenSize)],
        ["heads", "\(configuration.heads), \(configuration.keyValueHeads) for keys and values"],
        ["vocabulary", Readable.count(configuration.vocabularySize)],
        ["context", Readable.count(configuration.contextLength)],
        ["file type", configuration.fileType],
        ["fingerprint", file.fingerprint],
        ["components", components.joined(separator: ", ")],
        ["file", path],
      ])
    }
  }

  struct Pull: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Fetch a model into $REFT_HOME/models and check its SHA-256.",
      discussion: """
        Known names: \(ModelLibrary.known.map(\.name).joined(separator: ", ")). A download from an \
        address goes on where an earlier one stopped.

        EXAMPLES
          reft model pull smollm2-135m-instruct
          reft model pull gemma-3-270m
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
      if let terms = ModelLibrary.known(name)?.terms { Output.note("\(name): \(terms)") }
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
