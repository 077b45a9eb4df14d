// SPDX-License-Identifier: Apache-2.0
// `reft adapter import` and `reft adapter export`.

public import ArgumentParser
public import ReFTHost
import ReFTModel
import ReFTTensor

extension AdapterFormat: ExpressibleByArgument {}
extension LayerConvention: ExpressibleByArgument {}

extension AdapterCommand {
  struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make an adapter of another program's.",
      discussion: """
        FORMATS
          pyreft          a folder that reft_model.save of pyreft wrote
          adapter-hub     a folder with a ReFT of AdapterHub's adapters library
          control-vector  a GGUF control vector of llama.cpp or repeng
          peft            a folder with a LoRA that save_pretrained of PEFT wrote

        Nothing in the source is run: its pickles are read as data, and refused where they ask for more
        than tensors. What a source does not say is asked for.

        EXAMPLES
          reft adapter import --format pyreft saved --model M --output runs/a --positions f7+l7
          reft adapter import --format control-vector calm.gguf --model M --output calm
          reft adapter import --format peft lora --model M --output runs/lora
        """
    )

    @Option(help: "The program that wrote the source.")
    var format: AdapterFormat
    @Argument(help: "The other program's file or folder.")
    var source: String
    @OptionGroup var model: ModelOptions
    @Option(help: ArgumentHelp("The adapter folder to make.", valueName: "folder"))
    var output: String
    @Option(help: "The tokens that are edited, where the source does not say: f7+l7, l1, all …")
    var positions: String?
    @Option(
      parsing: .singleValue,
      help: ArgumentHelp(
        "An option of the plugin that the source does not say; may be repeated.",
        valueName: "key=value"
      )
    )
    var option: [String] = []
    @Option(help: "The plugin, where the source leaves two possible: noreft or direft.")
    var plugin: String?
    @Option(
      name: .customLong("layer-convention"),
      help: """
        What direction.N of a control vector means, where its file does not say: applied (block N) or \
        extracted (block N - 1).
        """
    )
    var layerConvention: LayerConvention?
    @OptionGroup var plugins: PluginOptions
    @OptionGroup var common: CommonOptions

    private struct Document: Encodable {
      var adapter: String
      var format: String
      var interventions: [InterventionSpec]
      var lora: JSONValue?
      var parameters: Int
      var notes: [String]
    }

    func run() throws {
      guard !PluginPlaces.isSame(source, output) else {
        throw ReFTError(
          .usage,
          "--output '\(output)' is the source itself; choose another folder"
        )
      }
      try NewFolder.check(output, option: "--output")
      let request = AdapterImport(
        format: format,
        source: source,
        positions: try positions.map(AdapterCommand.rule),
        options: try AdapterCommand.options(option),
        plugin: plugin,
        layerConvention: layerConvention
      )
      let loaded = try LoadedModel(path: model.path())
      let adapter = try request.adapter(base: BaseModel(loaded), catalog: plugins.catalog())
      try adapter.save(to: output)
      for warning in adapter.warnings { Output.note("warning: \(warning)") }
      if common.json {
        return try Output.json(
          Document(
            adapter: output,
            format: format.rawValue,
            interventions: adapter.specs,
            lora: adapter.lora.map { .object($0.spec.members) },
            parameters: adapter.parameters.parameterCount,
            notes: adapter.warnings
          )
        )
      }
      for spec in adapter.specs {
        Output.line(
          "\(spec.plugin) at the \(spec.component.rawValue) of layers "
            + spec.layers.map(String.init).joined(separator: ", ") + ", positions \(spec.positions)"
        )
      }
      if let lora = adapter.lora?.spec {
        Output.line(
          "a LoRA of rank \(lora.rank) of \(lora.targets.map(\.rawValue).joined(separator: ", ")) of layers "
            + lora.layers.map(String.init).joined(separator: ", ")
        )
      }
      Output.line("\(Readable.count(adapter.parameters.parameterCount)) parameters in \(output)")
    }
  }

  struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write an adapter as another program's; needs neither model nor plugins.",
      discussion: """
        FORMATS
          pyreft          a folder for ReftModel.load of pyreft 0.1.0
          control-vector  a GGUF file for llama.cpp and repeng, of additive steering at all+decode
          peft            a folder for PeftModel.from_pretrained of PEFT, of a LoRA

        EXAMPLES
          reft adapter export --format pyreft runs/a/adapter --output for-pyreft
          reft adapter export --format control-vector calm --output calm.gguf
          reft adapter export --format peft runs/lora/adapter --output for-peft
        """
    )

    @Option(help: "The program: pyreft, control-vector or peft.")
    var format: AdapterFormat
    @Argument(help: "An adapter folder.")
    var adapter: String
    @Option(help: ArgumentHelp("The folder or file to make.", valueName: "path"))
    var output: String
    @OptionGroup var common: CommonOptions

    private struct Document: Encodable {
      var output: String
      var format: String
      var notes: [String]
    }

    func run() throws {
      let export = try AdapterExport(format: format, adapter: adapter)
      if format == .controlVector {
        try ResultFile(option: "--output", path: output).check(
          inputs: [adapter + "/adapter_model.safetensors", adapter + "/adapter_config.json"],
          kind: "control vector"
        ) {
          (try? GGUFFile(path: $0))?.string("general.architecture") == "controlvector"
        }
      }
      let notes = try export.write(to: output)
      for note in notes { Output.note("note: \(note)") }
      if common.json {
        return try Output.json(Document(output: output, format: format.rawValue, notes: notes))
      }
      Output.line("\(output) is written for \(format.rawValue)")
    }
  }
}
