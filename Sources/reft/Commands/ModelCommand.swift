// SPDX-License-Identifier: Apache-2.0
// `reft model`: what a model file holds. The other commands are in files of their own.

import ArgumentParser
import ReFTModel
import ReFTTensor

struct ModelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model",
    abstract: "Look at, fetch and convert frozen models.",
    subcommands: [Info.self, List.self, Pull.self, Quantize.self]
  )

  struct Info: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show what a model file holds; reads its header only.",
      discussion: """
        EXAMPLES
          reft model info smollm2-135m-instruct
          reft model info ./model.gguf --json
          reft model info ./folder --plan
          reft model info ./model.gguf --memory --context 4096 --batch 8
        """
    )

    @Argument(help: "A .gguf file, a Hugging Face folder, or a short name under $REFT_HOME/models.")
    var model: String
    @Flag(help: "Print what the model computes, block by block.") var plan = false
    @OptionGroup var memory: MemoryOptions
    @OptionGroup var common: CommonOptions

    func validate() throws {
      if memory.memory, plan { throw ValidationError("give --plan or --memory, not both") }
    }

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
      if memory.memory { return try memory.tell(path, json: common.json) }
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
}
