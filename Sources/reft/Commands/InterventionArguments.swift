// SPDX-License-Identifier: Apache-2.0
// One intervention at the command line: a plugin, where it works, its options.

public import ArgumentParser
import ReFTHost
public import ReFTModel
import ReFTTensor

extension Component: ExpressibleByArgument {}

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
      layers: try blocks(of: model.configuration.layers),
      component: component,
      positions: try AdapterCommand.rule(positions),
      options: try AdapterCommand.options(option)
    )
    let adapter = try Adapter.create(specs: [spec], model: model, catalog: catalog, seed: 0)
    for warning in adapter.warnings { Output.note("warning: \(warning)") }
    return adapter
  }

  /// The blocks that --layers names.
  private func blocks(of count: Int) throws -> [Int] {
    if layers == "all" { return Array(0..<count) }
    var result: [Int] = []
    for part in layers.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
      guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1],
        first <= last, last < 1 << 20
      else {
        throw ReFTError(
          .usage,
          "--layers '\(layers)' must be all, or blocks from 0 to \(count - 1) such as 8, 8,12 or 4-7"
        )
      }
      result += first...last
    }
    return result
  }
}
