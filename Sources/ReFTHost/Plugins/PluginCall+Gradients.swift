// SPDX-License-Identifier: Apache-2.0
// Whether the gradients that a plugin adds to are numbers: where not, it is told at the plugin and not at
// the end of the step, when nobody knows any more who it was.

import CReFTPlatform
import ReFTTensor

extension PluginCall {
  /// Makes sure that what backward added to gradients of trained parameters is finite, where all that it
  /// was given is.
  ///
  /// One pass over the gradients, which backward itself has just been over.
  ///
  /// - Throws: `.misbehaved`, with the plugin, its site and the parameter.
  func checkGradients(
    _ plugin: String,
    site: PluginSite,
    parameters infos: [ParameterInfo]
  ) throws(ReFTError) {
    guard let parameterGradients else { return }
    for (index, info) in infos.enumerated() where info.isTrainable && info.inputIndex == nil {
      guard let gradient = parameterGradients[index], !Self.isFinite(gradient, info.count),
        wasGivenFinite(infos, width: site.dim)
      else { continue }
      throw .gradientNotFinite(plugin, site: site, parameter: info.name, rows: rows)
    }
  }

  /// Whether the gradient of the edited rows and the parameters are numbers.
  private func wasGivenFinite(_ infos: [ParameterInfo], width: Int) -> Bool {
    if let dy {
      for row in 0..<rows where !Self.isFinite(dy + row * dyStride, width) { return false }
    }
    return infos.enumerated().allSatisfy { index, info in
      parameters?[index].map { Self.isFinite($0, info.count) } ?? true
    }
  }

  private static func isFinite(_ values: UnsafeRawPointer, _ count: Int) -> Bool {
    reft_system_all_finite(values.assumingMemoryBound(to: Float.self), Int64(count)) != 0
  }
}
