// SPDX-License-Identifier: Apache-2.0
// One intervention at the command line: a plugin, where it works, its options.

import ArgumentParser
import ReFTHost
import ReFTModel
import ReFTTensor

/// A plugin and where it works.
struct InterventionArguments: ParsableArguments {
  @Option(help: "The plugin, by its name.")
  var plugin: String?
  @Option(help: ArgumentHelp("Blocks, from 0: all, 8, 8,12 or 4-7.", valueName: "blocks"))
  var layers = "all"
  @Option(help: "The tokens that are edited: l1, f7+l7, all, all+decode …")
  var positions = "l1"
  @Option(help: "The hidden tensor of a block.")
  var component = Component.blockOutput
  @Option(
    parsing: .singleValue,
    help: ArgumentHelp(
      "An option of the plugin; may be repeated. Tensors as key=FILE#TENSOR.",
      valueName: "key=value"
    )
  )
  var option: [String] = []

  /// An adapter with this one intervention, its parameters at their start.
  ///
  /// - Throws: `.usage` for options of another form, and what making an adapter throws.
  func adapter(for model: LoadedModel, catalog: PluginCatalog) throws -> Adapter {
    let spec = InterventionSpec(
      plugin: plugin ?? "",
      layers: try NumberList.layers(layers, of: model),
      component: component,
      positions: try AdapterCommand.rule(positions),
      options: try AdapterCommand.options(option)
    )
    let adapter = try Adapter.create(specs: [spec], model: model, catalog: catalog, seed: 0)
    for warning in adapter.warnings { Output.note("warning: \(warning)") }
    return adapter
  }
}
