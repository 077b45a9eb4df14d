// SPDX-License-Identifier: Apache-2.0
// One instance of a plugin at its place in an adapter.

package import ReFTModel
package import ReFTTensor
import Synchronization

/// One intervention at one site, for one group of positions, with its part of the parameters.
package final class AdapterUnit: @unchecked Sendable {
  // Sendable: everything is fixed in init; the parameters' memory belongs to the store.

  /// Index of the intervention in the adapter.
  package let intervention: Int
  /// Where it works.
  package let site: Site
  /// The end of the prompt that it edits, or all.
  package let group: PositionGroup
  /// Floats in a row.
  package let dim: Int
  /// The plugin.
  package let plugin: Plugin
  /// The plugin's instance.
  package let instance: any PluginInstance
  /// The indices of its parameters in the adapter's store.
  package let parameters: Range<Int>
  /// One pointer per parameter, into the store.
  package let pointers: UnsafePointer<UnsafeRawPointer?>
  /// The store of the adapter's parameters.
  let store: ParameterStore
  /// The device forms for inference and for training, once asked for.
  private let programs = Mutex<[Bool: DeviceProgram?]>([:])

  /// Whether the plugin looks at what the layer that makes its rows reads.
  var needsSource: Bool { plugin.capabilities.contains(.needsSource) }

  init(_ draft: Draft, parameters: Range<Int>, store: ParameterStore) {
    intervention = draft.intervention
    site = draft.site
    group = draft.group
    dim = draft.dim
    plugin = draft.plugin
    instance = draft.instance
    self.parameters = parameters
    self.store = store
    let memory = UnsafeMutablePointer<UnsafeRawPointer?>.allocate(
      capacity: max(1, parameters.count)
    )
    for (place, index) in parameters.enumerated() {
      (memory + place).initialize(to: UnsafeRawPointer(store.tensor(index).baseAddress))
    }
    pointers = UnsafePointer(memory)
  }

  /// The device form of the plugin; nil where there is none, as for isolated plugins and manifests.
  ///
  /// - Throws: `.misbehaved` when the plugin describes something that cannot be launched.
  package func deviceProgram(isTraining: Bool) throws(ReFTError) -> DeviceProgram? {
    if let known = programs.withLock({ $0[isTraining] }) { return known }
    let program = try (instance as? any DevicePluginInstance)?
      .deviceProgram(isTraining: isTraining)
    programs.withLock { _ = $0.updateValue(program, forKey: isTraining) }
    return program
  }

  deinit { UnsafeMutablePointer(mutating: pointers).deallocate() }

  /// A unit whose parameters have no memory yet.
  struct Draft {
    var intervention: Int
    var site: Site
    var group: PositionGroup
    var dim: Int
    var plugin: Plugin
    var instance: any PluginInstance

    /// What its parameters belong to.
    var owner: ParameterOwner {
      .intervention(
        index: intervention,
        block: site.block,
        end: group == .all ? nil : group.rawValue
      )
    }

    /// Its parameters as they are named in files: `interventions.0.layers.2.prefix.rotate.weight`.
    var infos: [ParameterInfo] { instance.parameters.map(owner.owns) }
  }
}
