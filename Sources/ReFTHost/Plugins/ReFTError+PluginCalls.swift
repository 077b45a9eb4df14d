// SPDX-License-Identifier: Apache-2.0
// What can go wrong with an instance of a plugin. Statuses of the ABI become errors here alone.

import CReFTPlugin
import ReFTTensor

extension ReFTError {
  /// A failure status, with the plugin's own words where it left some.
  static func pluginStatus(
    _ status: reft_status_t,
    plugin: String,
    call: String,
    message: String?
  ) -> ReFTError {
    let said = message.map { ": \($0)" } ?? " and gave no reason"
    let code: ReFTError.Code =
      switch (status, call) {
      case (REFT_E_CANCELLED, _): .interrupted
      case (REFT_E_INVALID, "create"), (REFT_E_UNSUPPORTED, "create"): .badConfiguration
      // What it is given there comes from rows of data: their subspace, their source.
      case (REFT_E_INVALID, "forward"), (REFT_E_INVALID, "backward"): .badData
      default: .misbehaved
      }
    let remedy =
      switch code {
      case .badConfiguration: "change its options or where it works"
      case .badData: "mend the row or the option that asks for it"
      default: "`reft plugin check` finds the cause"
      }
    return ReFTError(
      code,
      "plugin '\(plugin)' failed in \(call) with \(name(of: status))\(said); \(remedy)"
    )
  }

  static func pluginMisbehaved(_ plugin: String, _ fault: String) -> ReFTError {
    ReFTError(
      .misbehaved,
      "plugin '\(plugin)' breaks its contract: \(fault); `reft plugin check` tells its author more"
    )
  }

  static func pluginNotFinite(
    _ plugin: String,
    call: String,
    rows: Int,
    inputIsFinite: Bool
  ) -> ReFTError {
    ReFTError(
      .misbehaved,
      "plugin '\(plugin)' left numbers that are not finite in \(call) over \(rows) rows"
        + (inputIsFinite
          ? "; lower the learning rate, or check the plugin with `reft plugin check`"
          : ", and was given such numbers; lower the learning rate")
    )
  }

  static func gradientNotFinite(
    _ plugin: String,
    site: PluginSite,
    parameter: String,
    rows: Int
  ) -> ReFTError {
    ReFTError(
      .misbehaved,
      "plugin '\(plugin)' left numbers that are not finite in the gradient of '\(parameter)' in backward "
        + "of layer \(site.layer), \(site.component), over \(rows) rows, and was given finite ones; lower "
        + "the learning rate, or check the plugin with `reft plugin check`"
    )
  }

  static func stateOfRowwisePlugin(_ plugin: String) -> ReFTError {
    pluginMisbehaved(
      plugin,
      "plan asks for a state of each sequence (state_bytes_per_sequence), which carries what one row "
        + "says to others, and REFT_CAP_ROWWISE promises that no row depends on others"
    )
  }

  static func collectedNotFinite(_ plugin: String) -> ReFTError {
    pluginMisbehaved(plugin, "it tells numbers of rows (collected) that are not finite")
  }

  static func auxiliaryNotFinite(_ plugin: String, value: Double, rows: Int) -> ReFTError {
    ReFTError(
      .misbehaved,
      "plugin '\(plugin)' added \(value) to its auxiliary loss in forward over \(rows) rows; lower "
        + "the learning rate or `auxiliary_weight`, or check the plugin with `reft plugin check`"
    )
  }

  static func callWithoutSource(_ plugin: String, call: String) -> ReFTError {
    ReFTError(
      .internalFault,
      "\(call) of plugin '\(plugin)' came without the layer's input that it reads "
        + "(REFT_CAP_NEEDS_SOURCE); make the call with as many rows of it as of x"
    )
  }

  static func pluginCannotTrain(_ plugin: String) -> ReFTError {
    ReFTError(
      .usage,
      "plugin '\(plugin)' has no derivative (REFT_CAP_NO_BACKWARD), so it cannot be trained, nor "
        + "anything below it; use it for generation only"
    )
  }

  private static func name(of status: reft_status_t) -> String {
    switch status {
    case REFT_E_INVALID: "REFT_E_INVALID"
    case REFT_E_UNSUPPORTED: "REFT_E_UNSUPPORTED"
    case REFT_E_NOMEM: "REFT_E_NOMEM"
    case REFT_E_NUMERIC: "REFT_E_NUMERIC"
    case REFT_E_INTERNAL: "REFT_E_INTERNAL"
    case REFT_E_CANCELLED: "REFT_E_CANCELLED"
    default: "unknown status \(status)"
    }
  }
}
