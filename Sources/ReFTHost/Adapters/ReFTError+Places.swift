// SPDX-License-Identifier: Apache-2.0
// What can be wrong with heads, ties and parameter sets of an intervention.

import ReFTModel
import ReFTTensor

extension ReFTError {
  static func noLocations(intervention: Int, rule: PositionRule) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "interventions.\(intervention).share_weights is none, one parameter set for each position, and the "
        + "positions '\(rule)' are another number for every prompt; write a fixed list, such as f7+l7, "
        + "[0,5,-1] or [2:10], or share the weights"
    )
  }

  static func componentWithoutHeads(
    intervention: Int,
    component: Component,
    others: [Component]
  ) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "interventions.\(intervention).heads: \(component.rawValue) is not made of heads; choose "
        + others.map(\.rawValue).joined(separator: ", ") + ", or leave heads out"
    )
  }

  static func badHeads(
    _ heads: [Int],
    intervention: Int,
    component: Component,
    count: Int
  ) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "interventions.\(intervention).heads is \(heads); \(component.rawValue) has \(count) heads, 0 to "
        + "\(count - 1), each of which is named once at most"
    )
  }

  static func tieWithoutHeads(intervention: Int) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "interventions.\(intervention).tie names heads, and there are none; name them with heads: [0, 3], or "
        + "tie layers alone"
    )
  }

  static func tiedParametersDiffer(_ intervention: Int, plugin: String, site: Site) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "interventions.\(intervention).tie: plugin '\(plugin)' has other parameters at the \(site) than at "
        + "the first place, so they cannot be shared; leave tie out"
    )
  }

  static func sourceOfHeads(intervention: Int, plugin: String) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "interventions.\(intervention).heads: plugin '\(plugin)' reads the layer's input beside its rows, "
        + "which is not made of heads (REFT_CAP_NEEDS_SOURCE); leave heads out, or take another plugin"
    )
  }
}
