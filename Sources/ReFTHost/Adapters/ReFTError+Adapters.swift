// SPDX-License-Identifier: Apache-2.0
// What can be wrong with the interventions of a configuration.

import ReFTModel
import ReFTTensor

extension ReFTError {
  static func noInterventions() -> ReFTError {
    ReFTError(
      .badConfiguration,
      "there are no interventions, no lora and no head; name at least one plugin, or write a lora or a "
        + "head"
    )
  }

  static func noLayers(intervention: Int) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "interventions.\(intervention).layers is empty; write all, or a list such as [2, 10]"
    )
  }

  static func layerOutOfRange(_ layer: Int, intervention: Int, layers: Int) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "interventions.\(intervention).layers names layer \(layer); the model has \(layers) blocks, "
        + "0 to \(layers - 1)"
    )
  }

  static func layerTwice(_ layer: Int, intervention: Int) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "interventions.\(intervention).layers names layer \(layer) twice; name it once, or write a "
        + "second intervention"
    )
  }

  static func editsNothing(intervention: Int) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "interventions.\(intervention).positions is none, so nothing would be edited; name positions, "
        + "or write decode to edit generated tokens alone"
    )
  }

  static func noSource(
    intervention: Int,
    plugin: String,
    component: Component,
    width: Int,
    sourceWidth: Int?,
    served: [Component]
  ) -> ReFTError {
    let fault =
      sourceWidth.map {
        "the layer that makes \(component.rawValue) reads rows of \($0) numbers and not of \(width)"
      } ?? "no layer of the model makes \(component.rawValue) from one row for each token"
    return ReFTError(
      .badConfiguration,
      "interventions.\(intervention).component is \(component.rawValue), and plugin '\(plugin)' reads "
        + "the layer's input beside its rows, as wide as these (REFT_CAP_NEEDS_SOURCE); \(fault). "
        + "Choose \(served.map(\.rawValue).joined(separator: " or "))"
    )
  }

  static func tooManyParameters(limit: Int) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "the interventions have more than \(limit) parameters; lower the rank or name fewer layers"
    )
  }
}
