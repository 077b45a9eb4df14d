// SPDX-License-Identifier: Apache-2.0
// A folder that pyreft saved, as an adapter. What it does not say: positions, activation, dropout.

import Foundation
import ReFTModel
import ReFTTensor

/// Reads a pyreft folder.
struct PyreftImport {
  let request: AdapterImport

  /// What the entries of one of our interventions have in common.
  private struct Group: Hashable {
    var intervention: Int
    var kind: PyreftClass
    var component: Component
    var positions: PositionRule
    var isApart: Bool
    var options: [String: OptionValue]
  }

  init(_ request: AdapterImport) { self.request = request }

  func read() throws(ReFTError) -> ImportedAdapter {
    try request.refusePlugin()
    let configuration = try PyreftConfiguration(folder: request.source)
    var result = ImportedAdapter()
    result.template = configuration.template
    var groups: [Group] = []
    var seen: Set<String> = []
    for (entry, end) in zip(configuration.entries, try ends(configuration.entries)) {
      let file = try open(entry)
      let parameters = try PyreftParameters(entry.kind, .torch(file))
      let group = Group(
        intervention: entry.mark?.intervention ?? 0,
        kind: entry.kind,
        component: entry.site.component,
        positions: try positions(entry, isApart: end != .all),
        isApart: end != .all,
        options: (entry.mark?.options ?? [:]).merging(parameters.options) { $1 }
          .merging(request.options) { $1 }
      )
      if !groups.contains(group) { groups.append(group) }
      let index = groups.firstIndex(of: group) ?? 0
      result.add(
        parameters.tensors,
        of: .intervention(
          index: index,
          block: entry.site.block,
          end: end == .all ? nil : end.rawValue
        )
      )
      if result.specs.count <= index { result.specs.append(Self.spec(group)) }
      if !result.specs[index].layers.contains(entry.site.block) {
        result.specs[index].layers.append(entry.site.block)
      }
      if let note = parameters.note, seen.insert(note).inserted { result.notes.append(note) }
    }
    for index in result.specs.indices { result.specs[index].layers.sort() }
    return result
  }

  private static func spec(_ group: Group) -> InterventionSpec {
    InterventionSpec(
      plugin: group.kind.plugin,
      layers: [],
      component: group.component,
      positions: group.positions,
      shareWeights: !group.isApart,
      options: group.options
    )
  }

  /// The end of the prompt that each entry edits: with two at a place, pyreft's first one has the
  /// prefix.
  private func ends(_ entries: [PyreftConfiguration.Entry]) throws(ReFTError) -> [PositionGroup] {
    if entries.allSatisfy({ $0.mark != nil }) { return entries.map { $0.mark?.end ?? .all } }
    var counts: [Site: Int] = [:]
    for entry in entries { counts[entry.site, default: 0] += 1 }
    var result: [PositionGroup] = []
    for entry in entries {
      let count = counts[entry.site] ?? 1
      guard count <= 2 else { throw .pyreftTooMany(request.source, entry.site, count: count) }
      result.append(count == 1 ? .all : entry.key.copy == 0 ? .prefix : .suffix)
    }
    return result
  }

  private func positions(
    _ entry: PyreftConfiguration.Entry,
    isApart: Bool
  ) throws(ReFTError) -> PositionRule {
    guard let rule = request.positions ?? entry.mark?.positions else {
      throw .positionsNeeded(request.source, isApart: isApart)
    }
    guard !isApart || rule.isTwoEnded else { throw .twoEndsNeeded(request.source, given: rule) }
    return rule
  }

  /// The file of an entry, by its name of today or the one before pyvene 0.1.7.
  private func open(_ entry: PyreftConfiguration.Entry) throws(ReFTError) -> TorchFile {
    let paths = entry.key.fileNames.map { request.source + "/" + $0 }
    guard let path = paths.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
      throw .pyreftFileMissing(request.source, names: entry.key.fileNames)
    }
    return try TorchFile(path: path)
  }
}

extension AdapterImport {
  /// Refuses a plugin's name where the source says which it is.
  func refusePlugin() throws(ReFTError) {
    if let plugin { throw .importOptionUnused("--plugin \(plugin)", format: format) }
    try refuseConvention()
  }

  /// Refuses a layer convention where layers have one meaning.
  func refuseConvention() throws(ReFTError) {
    guard let layerConvention else { return }
    throw .importOptionUnused("--layer-convention \(layerConvention.rawValue)", format: format)
  }
}
