// SPDX-License-Identifier: Apache-2.0
// config.json of a pyreft folder: one array of 13 or 14 fields for each intervention, in the order of
// pyvene's RepresentationConfig; pyvene 0.1.3 added the last but one.

import Foundation
import ReFTModel
import ReFTTensor

/// What config.json says.
struct PyreftConfiguration {
  /// One intervention.
  struct Entry {
    var key: PyreftKey
    var site: Site
    var kind: PyreftClass
    var mark: Mark?
  }

  /// What our own export adds for each intervention, since pyreft has no place for it.
  struct Mark {
    var intervention: Int
    var end: PositionGroup
    var positions: PositionRule
    var options: [String: OptionValue]
  }

  var entries: [Entry] = []
  var template: String?

  /// The names of the fields that tie or gate what we would keep apart.
  private static let refused = [
    7: "subspace_partition", 8: "group_key", 9: "intervention_link_key", 10: "moe_key",
    11: "source_representation",
  ]

  /// Reads the file of a folder.
  init(folder: String) throws(ReFTError) {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue
    else { throw .importMissing(folder, "a folder that pyreft saved") }
    guard FileManager.default.fileExists(atPath: folder + "/config.json") else {
      throw .pyreftWithoutConfiguration(folder)
    }
    let root = try JSONReader(file: folder + "/config.json")
    let rows = try root.required("representations").items()
    let types = try root.required("intervention_types").items()
    guard rows.count == types.count, !rows.isEmpty else {
      throw try root.required("intervention_types")
        .fault("a list as long as 'representations', which has \(rows.count) items")
    }
    let own = try root.optional("reft")
    template = try own?.optional("template")?.string()
    let marks = try own?.optional("representations")?.items()
    if let own, let marks, marks.count != rows.count {
      throw try own.required("representations").fault("a list of \(rows.count) items")
    }
    var copies: [Site: Int] = [:]
    for (index, (row, type)) in zip(rows, types).enumerated() {
      var entry = try Self.entry(row, type)
      entry.key.copy = copies[entry.site, default: 0]
      copies[entry.site, default: 0] += 1
      if let mark = marks?[index] { entry.mark = try Self.mark(mark) }
      entries.append(entry)
    }
  }

  private static func entry(
    _ row: JSONReader,
    _ type: JSONReader
  ) throws(ReFTError) -> Entry {
    let fields = try row.items()
    guard fields.count == 13 || fields.count == 14 else {
      throw row.fault("a list of 13 or 14 fields, as pyvene writes; it has \(fields.count)")
    }
    guard let kind = PyreftClass(typeText: try type.string()) else {
      let known = PyreftClass.allCases.map(\.rawValue).joined(separator: ", ")
      throw type.fault("a class of pyreft.interventions: \(known)")
    }
    for (place, name) in refused.sorted(by: { $0.key < $1.key })
    where fields[place].node.kind != "null" {
      throw fields[place].fault("null: interventions with \(name) are not taken over")
    }
    guard try fields[2].string() == "pos" else {
      throw fields[2].fault("'pos': single heads are not taken over")
    }
    guard try fields[3].int() == 1 else { throw fields[3].fault("1, one position at a time") }
    let component = try fields[1].string()
    // A path names its block itself.
    let layer = component.contains("[") ? 0 : try fields[0].int()
    let key = PyreftKey(layer: layer, component: component, copy: 0)
    guard let site = key.site, site.block >= 0 else {
      let known = Component.allCases.map(\.rawValue).joined(separator: ", ")
      throw fields[1].fault("a component (\(known)) or a path such as model.layers[3].output")
    }
    return Entry(key: key, site: site, kind: kind)
  }

  private static func mark(_ reader: JSONReader) throws(ReFTError) -> Mark {
    let end = try reader.optional("end")?.string()
    guard let group = end.map({ PositionGroup(rawValue: $0) }) ?? .all else {
      throw try reader.required("end").fault("'prefix' or 'suffix'")
    }
    let text = try reader.required("positions")
    let positions: PositionRule
    do throws(ReFTError) {
      positions = try PositionRule(try text.string())
    } catch {
      throw .adapterPositions("\(text.file):\(text.node.place)", place: text.place, cause: error)
    }
    return Mark(
      intervention: try reader.required("intervention").int(),
      end: group,
      positions: positions,
      options: try reader.optional("options")?.options() ?? [:]
    )
  }
}
