// SPDX-License-Identifier: Apache-2.0
// What a runtime on a device asks of an edit beside its host form.

import ReFTModel
import ReFTTensor

extension SiteEdit: DeviceRowEdit {
  /// The device form that the plugin brings; isolated plugins and manifests have none, and none has a
  /// place for an auxiliary loss, for the gradient of what a layer read,
  /// or for rows of a source prompt.
  func deviceProgram() throws -> DeviceProgram? {
    needsHostForm || isTraining && givesSourceGradient
      ? nil : try unit.deviceProgram(isTraining: isTraining)
  }

  func notFinite(in call: String) -> ReFTError {
    .pluginNotFinite(unit.plugin.name, call: call, rows: rows.count, inputIsFinite: true)
  }

  var isTraining: Bool { context.gradients != nil }

  var parameters: any DeviceParameters { unit.store }

  var parameterOffsets: [Int] { unit.parameters.map { unit.store.offsets[$0] } }

  var gradients: UnsafeMutableBufferPointer<Float>? { context.gradients?.buffer.values }

  var origins: DeviceOrigins {
    DeviceOrigins(
      examples: (0..<rows.count).map { rows.example($0, minor: minor) },
      positions: rows.positions,
      lengths: rows.lengths,
      locations: minor == 0 ? rows.runningLocations : rows.locations,
      subspaces: rows.subspaces,
      adapters: rows.adapters
    )
  }
}
