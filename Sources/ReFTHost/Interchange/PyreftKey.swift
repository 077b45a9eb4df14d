// SPDX-License-Identifier: Apache-2.0
// How pyvene names an intervention: by layer and component, or by the path of a module.

import ReFTModel

/// The place of an intervention of pyvene's.
struct PyreftKey {
  /// The layer as config.json has it.
  var layer: Int
  /// A component's name or a path such as `model.layers[3].output`.
  var component: String
  /// How many interventions before it have the same place.
  var copy: Int

  /// Where that is in our models; nil for places that we do not have.
  var site: Site? {
    if let known = Component(rawValue: component) { return Site(block: layer, component: known) }
    guard let open = component.firstIndex(of: "["), let close = component.firstIndex(of: "]"),
      open < close, let block = Int(component[component.index(after: open)..<close]), block >= 0
    else { return nil }
    let folder = component[..<open].split(separator: ".").last
    guard let folder, ["layers", "layer", "h", "blocks"].contains(folder) else { return nil }
    switch component[component.index(after: close)...] {
    case ".output": return Site(block: block, component: .blockOutput)
    case ".input": return Site(block: block, component: .blockInput)
    case ".mlp.output": return Site(block: block, component: .mlpOutput)
    case ".self_attn.output", ".attn.output": return Site(block: block, component: .attentionOutput)
    default: return nil
    }
  }

  /// The file's name since pyvene 0.1.7, and the one before it.
  var fileNames: [String] {
    ["_", "."].map { separator in
      let isPath = component.contains("[")
      let place = isPath ? component.replacing(".", with: separator) : component
      let parts = (isPath ? [] : ["layer", String(layer)]) + ["comp", place]
      return "intkey_" + (parts + ["unit", "pos", "nunit", "1"]).joined(separator: separator)
        + "#\(copy).bin"
    }
  }
}
