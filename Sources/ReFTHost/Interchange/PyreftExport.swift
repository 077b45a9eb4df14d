// SPDX-License-Identifier: Apache-2.0
// An adapter as the folder that pyreft 0.1.0 loads. What pyreft has no place for, positions above all,
// stands under "reft" in config.json, which pyreft ignores and our import reads.

import Foundation
import ReFTModel
import ReFTTensor

/// Writes a pyreft folder.
struct PyreftExport {
  let source: AdapterExport

  /// One file of the folder.
  private struct Entry {
    var key: PyreftKey
    var kind: PyreftClass
    var rank: Int
    var width: Int
    var items: [TorchItem]
    var mark: [String: JSONValue]
  }

  /// What shapes and classes say, and what training and our own import know.
  private static let options: Set = [
    "rank", "orthogonal", "bias", "dropout", "activation", "init",
  ]

  init(_ source: AdapterExport) { self.source = source }

  func write(to path: String) throws(ReFTError) -> [String] {
    var notes: [String] = []
    var entries: [Entry] = []
    var copies: [Site: Int] = [:]
    for (index, spec) in source.file.specs.enumerated() {
      guard
        let kind = source.plugin(index).flatMap({ PyreftClass(plugin: $0, options: spec.options) })
      else { throw .exportPlugin(source.adapter, spec.plugin, format: .pyreft) }
      try source.check(spec, options: Self.options)
      try source.checkPlaces(spec)
      // As pyreft lays them out: first all prefixes, then all suffixes.
      for end in spec.groups {
        for layer in spec.layers {
          let site = Site(block: layer, component: spec.component)
          let copy = copies[site, default: 0]
          copies[site] = copy + 1
          entries.append(try entry(index, spec, kind, layer: layer, end: end, copy: copy))
        }
      }
      notes += Self.notes(index, spec, kind)
    }
    let document = try configuration(entries)
    try NewFolder.write(path, option: "--output") { folder throws(ReFTError) in
      for entry in entries {
        try TorchFile.write(entry.items, to: folder + "/" + entry.key.fileNames[0])
      }
      try AtomicFile.write(document, to: folder + "/config.json")
    }
    return notes
  }

  private func entry(
    _ index: Int,
    _ spec: InterventionSpec,
    _ kind: PyreftClass,
    layer: Int,
    end: PositionGroup,
    copy: Int
  ) throws(ReFTError) -> Entry {
    let tensors = try source.parameters(index, block: layer, end: end)
    guard let projection = tensors[kind.projection], projection.shape.count == 2,
      projection.shape[0] < projection.shape[1] || !kind.isParametrised,
      let items = PyreftParameters.items(kind, tensors)
    else { throw .exportParameters(source.adapter, intervention: index, layer: layer) }
    let own = spec.options.filter { !["rank", "orthogonal", "bias"].contains($0.key) }
    var mark: [String: JSONValue] = [
      "intervention": .int(Int64(index)), "positions": .string(spec.positions.description),
    ]
    if end != .all { mark["end"] = .string(end.rawValue) }
    if !own.isEmpty { mark["options"] = .object(own.mapValues(\.json)) }
    return Entry(
      key: PyreftKey(layer: layer, component: spec.component.rawValue, copy: copy),
      kind: kind,
      rank: projection.shape[0],
      width: projection.shape[1],
      items: items,
      mark: mark
    )
  }

  private func configuration(_ entries: [Entry]) throws(ReFTError) -> Data {
    let keys = entries.map { String($0.key.fileNames[0].dropFirst(7).dropLast(4)) }
    var own: [String: JSONValue] = ["representations": .array(entries.map { .object($0.mark) })]
    if let template = source.file.template { own["template"] = .string(template) }
    let nulls = [JSONValue](repeating: .null, count: 9)
    let root: [String: JSONValue] = [
      "intervention_constant_sources": .array(entries.map { _ in .bool(true) }),
      "intervention_dimensions": .array(entries.map { .int(Int64($0.width)) }),
      "intervention_types": .array(entries.map { .string($0.kind.typeText) }),
      "mode": .string("parallel"),
      "representations": .array(
        entries.map {
          .array(
            [
              .int(Int64($0.key.layer)), .string($0.key.component), .string("pos"), .int(1),
              .int(Int64($0.rank)),
            ] + nulls
          )
        }
      ),
      "sorted_keys": .array(keys.map { .string($0) }),
      "reft": .object(own),
    ]
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    do {
      return try encoder.encode(JSONValue.object(root)) + Data("\n".utf8)
    } catch {
      throw .adapterNotWritable("config.json", cause: error)
    }
  }

  private static func notes(
    _ index: Int,
    _ spec: InterventionSpec,
    _ kind: PyreftClass
  ) -> [String] {
    var notes = [
      "intervention \(index): give pyreft the positions \(spec.positions) yourself; its folders hold none"
    ]
    if case .string(let activation)? = spec.options["activation"], activation != "linear" {
      notes.append("intervention \(index): pyreft loads it without its activation \(activation)")
    }
    if kind == .noreft || kind == .nodireft {
      notes.append(
        "intervention \(index): ReftModel.load of pyreft 0.1.0 cannot make a \(kind.rawValue); build it "
          + "with add_bias and load the file with load_state_dict"
      )
    }
    return notes
  }
}
