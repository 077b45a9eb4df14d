// SPDX-License-Identifier: Apache-2.0
// Which adapters edit the model, how strongly, and what they are together.

public import ArgumentParser
public import ReFTHost
import ReFTModel
import ReFTTensor

extension CompositionRule: ExpressibleByArgument {}

/// The adapters that edit the model.
struct AdapterOptions: ParsableArguments {
  @Option(
    parsing: .singleValue,
    help: ArgumentHelp(
      """
      An adapter folder, as reft train makes; :0.5 behind it lets half of its change count; may be \
      repeated.
      """,
      valueName: "folder[:strength]"
    )
  )
  var adapter: [String] = []

  @Option(
    help: ArgumentHelp(
      """
      What several adapters are together where they edit the same: sum (of their differences), \
      sequential (in the order given) or error.
      """,
      valueName: "rule"
    )
  )
  var compose = CompositionRule.sum

  /// The folders that are named.
  func words() throws -> [AdapterWord] { try adapter.map { try AdapterWord($0) } }

  /// Loads the adapters that are named, and tells what they have to warn of.
  func load(for model: LoadedModel, catalog: PluginCatalog) throws -> AdapterStack {
    let stack = try AdapterStack.load(
      try words(),
      rule: compose,
      model: model,
      catalog: catalog
    )
    for part in stack.parts {
      for warning in part.adapter.warnings { Output.note("warning: \(warning)") }
    }
    return stack
  }
}
