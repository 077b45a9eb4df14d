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
  /// The tokens that its parameters serve.
  package let part: PositionPart
  /// The head that it edits; nil for whole rows.
  package let head: Int?
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

  /// The numbers of a row that it edits; nil for all.
  var columns: Range<Int>? { head.map { $0 * dim..<($0 + 1) * dim } }

  /// Names its draws of random numbers among those of its intervention.
  var stream: UInt64 {
    let group = UInt64(PositionGroup.allCases.firstIndex(of: part.group) ?? 0)
    let place = UInt64(site.block) << 2 | group
    return place | UInt64((part.location ?? -1) + 1) << 24 | UInt64((head ?? -1) + 1) << 44
  }

  /// Whether the plugin looks at what the layer that makes its rows reads.
  var needsSource: Bool { plugin.capabilities.contains(.needsSource) }

  init(_ draft: Draft, parameters: Range<Int>, store: ParameterStore) {
    intervention = draft.intervention
    site = draft.site
    part = draft.part
    head = draft.head
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
    var part: PositionPart
    var head: Int?
    var tie: Set<TieAxis>
    var dim: Int
    var plugin: Plugin
    var instance: any PluginInstance

    /// What its parameters belong to.
    var owner: ParameterOwner {
      .intervention(
        index: intervention,
        block: tie.contains(.layers) ? nil : site.block,
        head: head.map { tie.contains(.heads) ? .all : .one($0) },
        end: part.name
      )
    }

    /// Its parameters as they are named in files: `interventions.0.layers.2.prefix.rotate.weight`.
    var infos: [ParameterInfo] { instance.parameters.map(owner.owns) }
  }
}
