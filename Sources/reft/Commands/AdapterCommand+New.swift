// SPDX-License-Identifier: Apache-2.0
// `reft adapter new`: an adapter that nothing trained.

import ArgumentParser
import ReFTHost
import ReFTModel
import ReFTTensor

extension AdapterCommand {
  struct New: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make an adapter of a plugin as it starts, without training.",
      discussion: """
        For plugins that need none: directions, autoencoders and other inputs come from files, values \
        from options. Inputs of at most 16 MiB are copied into the folder. An adapter that starts as no \
        edit, such as a vector of zeros, is to be filled or trained, which is told.

        EXAMPLES
          reft adapter new --plugin ablate --layers all --positions all+decode --model M \
        --output random-direction
          reft adapter new --plugin sae --layers 12 --positions all+decode --model M --output feature \
        --option encoder=sae.safetensors#W_enc --option decoder=sae.safetensors#W_dec \
        --option feature=1024 --option value=80
        """
    )

    @OptionGroup var intervention: InterventionArguments
    @OptionGroup var model: ModelOptions
    @Option(help: ArgumentHelp("The adapter folder to make.", valueName: "folder"))
    var output: String
    @OptionGroup var plugins: PluginOptions
    @OptionGroup var common: CommonOptions

    private struct Document: Encodable {
      var adapter: String
      var interventions: [InterventionSpec]
      var parameters: Int
    }

    func validate() throws {
      if intervention.plugin == nil { throw ValidationError("give the plugin with --plugin") }
    }

    func run() throws {
      try NewFolder.check(output, option: "--output")
      let loaded = try LoadedModel(path: model.path())
      let adapter = try intervention.adapter(for: loaded, catalog: plugins.catalog())
      try adapter.save(to: output)
      let count = adapter.parameters.parameterCount
      if adapter.startsAsNoEdit { Output.note("warning: \(changesNothing(adapter))") }
      if common.json {
        return try Output.json(
          Document(adapter: output, interventions: adapter.specs, parameters: count)
        )
      }
      for spec in adapter.specs {
        Output.line(
          "\(spec.plugin) at the \(spec.component.rawValue) of layers "
            + spec.layers.map(String.init).joined(separator: ", ") + ", positions \(spec.positions)"
        )
      }
      Output.line("\(Readable.count(count)) parameters at their start in \(output)")
    }

    private func changesNothing(_ adapter: Adapter) -> String {
      let names = adapter.specs.map { "'\($0.plugin)'" }.joined(separator: ", ")
      return
        "'\(output)' changes nothing as it is: plugin \(names) starts as no edit; train it "
        + "(train.init_adapter), or fill its tensors in '\(output)/adapter_model.safetensors'; a vector "
        + "that is filled comes from 'reft steer extract'"
    }
  }

  /// A rule of positions, with faults as those of a call.
  static func rule(_ text: String) throws -> PositionRule {
    do throws(ReFTError) {
      return try PositionRule(text)
    } catch {
      throw ReFTError(.usage, "--positions: \(error.message)", cause: error)
    }
  }

  /// The options of a plugin: numbers, true, false, and texts.
  static func options(_ words: [String]) throws -> [String: OptionValue] {
    var result: [String: OptionValue] = [:]
    for word in words {
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[0].isEmpty else {
        throw ReFTError(.usage, "--option '\(word)' is not of the form key=value")
      }
      guard result.updateValue(value(String(parts[1])), forKey: String(parts[0])) == nil else {
        throw ReFTError(.usage, "--option \(parts[0]) is given twice; give it once")
      }
    }
    return result
  }

  private static func value(_ text: String) -> OptionValue {
    if let flag = Bool(text) { return .flag(flag) }
    if let number = Int64(text) { return .int(number) }
    if let number = Double(text) { return .float(number) }
    return .string(text)
  }
}
