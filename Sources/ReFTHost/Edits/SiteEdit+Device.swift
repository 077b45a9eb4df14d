// SPDX-License-Identifier: Apache-2.0
// What a runtime on a device asks of an edit beside its host form.

import ReFTModel
import ReFTTensor

extension SiteEdit: DeviceRowEdit {
  /// The device form that the plugin brings; isolated plugins and manifests have none.
  func deviceProgram() throws -> DeviceProgram? {
    try unit.deviceProgram(isTraining: isTraining)
  }

  var isTraining: Bool { context.gradients != nil }

  var parameters: any DeviceParameters { unit.store }

  var parameterOffsets: [Int] { unit.parameters.map { unit.store.offsets[$0] } }

  var gradients: UnsafeMutableBufferPointer<Float>? { context.gradients?.buffer.values }

  var origins: DeviceOrigins {
    DeviceOrigins(
      examples: rows.examples,
      positions: rows.positions,
      lengths: rows.lengths,
      locations: rows.locations,
      adapters: rows.adapters
    )
  }
}
