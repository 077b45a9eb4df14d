// SPDX-License-Identifier: Apache-2.0
// Whether the plugins that are here can go on from a checkpoint: the same ids, and parameters of the
// same names and shapes. A plugin that changed is told as such; the checkpoint is fine.

import ReFTHost
import ReFTTensor

extension CheckpointStore {
  /// Refuses plugins that cannot go on from a checkpoint, before anything of it is read.
  ///
  /// - Throws: `.badConfiguration`, naming the plugin and what it was and is.
  func checkPlugins(step: Int, adapter: Adapter) throws(ReFTError) {
    let folder = path(step: step) + "/adapter"
    let then: AdapterSummary
    do throws(ReFTError) {
      then = try AdapterSummary(path: folder)
    } catch {
      throw .brokenCheckpoint(path(step: step), "its adapter cannot be read", cause: error)
    }
    for (index, now) in adapter.provenance.enumerated() where index < then.provenance.count {
      let made = then.provenance[index]
      if let id = made.id, let here = now.id, id != here {
        throw .runOfOtherPlugin(path(step: step), made: id, here: here)
      }
      // The same build has the same layout: what does not fit then is the checkpoint's own fault.
      guard let hash = made.hash, hash != now.hash else { continue }
      let changes = Self.changes(of: index, then: then, now: adapter)
      guard changes.isEmpty else {
        throw .pluginChangedLayout(
          adapter.specs[index].plugin,
          changes: changes,
          checkpoint: path(step: step),
          hash: hash
        )
      }
    }
  }

  /// What differs in the parameters of an intervention, by the plugin's own names.
  private static func changes(
    of intervention: Int,
    then: AdapterSummary,
    now: Adapter
  ) -> [String] {
    let prefix = "interventions.\(intervention)."
    func shapes(_ list: [(name: String, shape: [Int])]) -> [String: [Int]] {
      Dictionary(
        list.filter { $0.name.hasPrefix(prefix) }.map { (ownName($0.name), $0.shape) },
        uniquingKeysWith: { first, _ in first }
      )
    }
    let before = shapes(then.tensors.map { ($0.name, $0.shape) })
    let after = shapes(now.parameters.infos.map { ($0.name, $0.shape) })
    return Set(before.keys).union(after.keys).sorted().compactMap { name in
      switch (before[name], after[name]) {
      case (let old?, let new?): old == new ? nil : "'\(name)' was \(old) and is \(new)"
      case (let old?, nil): "'\(name)' \(old) is gone"
      case (nil, let new?): "'\(name)' \(new) is new"
      case (nil, nil): nil
      }
    }
  }

  /// A tensor's name without the place of its instance: `interventions.0.layers.2.prefix.rotate.weight`
  /// is `rotate.weight`.
  private static func ownName(_ name: String) -> String {
    var parts = name.split(separator: ".").dropFirst(4)
    if parts.first == "heads" { parts = parts.dropFirst(2) }
    if parts.first == "positions" { parts = parts.dropFirst(2) }
    if let first = parts.first, PositionGroup(rawValue: String(first)) != nil {
      parts = parts.dropFirst()
    }
    return parts.joined(separator: ".")
  }
}
