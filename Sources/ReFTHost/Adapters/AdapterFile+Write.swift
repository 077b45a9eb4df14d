// SPDX-License-Identifier: Apache-2.0
// The text of `adapter_config.json`: the same adapter gives the same bytes.

import Foundation
import ReFTModel
import ReFTTensor

extension AdapterFile {
  /// Takes over what an adapter knows.
  init(_ adapter: Adapter) {
    base = adapter.baseModel
    specs = adapter.specs
    lora = adapter.lora?.spec
    head = adapter.head?.spec
    provenance = adapter.provenance
    template = adapter.template
    training = adapter.trainingInfo
  }

  /// The document.
  func json() throws(ReFTError) -> Data {
    var root: [String: JSONValue] = [
      "format": .string(Self.format), "format_version": .int(Int64(Self.version)),
      "base_model": .object(baseMembers),
      "interventions": .array(zip(specs, provenance).map { .object(Self.members($0, $1)) }),
      "training": .object(training),
    ]
    if let lora { root["lora"] = .object(lora.members) }
    if let head { root["head"] = .object(head.members) }
    if let template { root["template"] = .string(template) }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    do {
      return try encoder.encode(JSONValue.object(root)) + Data("\n".utf8)
    } catch {
      throw .adapterNotWritable("adapter_config.json", cause: error)
    }
  }

  private var baseMembers: [String: JSONValue] {
    var members: [String: JSONValue] = [
      "name": .string(base.name), "architecture": .string(base.architecture),
      "hidden_size": .int(Int64(base.hiddenSize)), "layers": .int(Int64(base.layers)),
    ]
    if let fingerprint = base.fingerprint { members["fingerprint"] = .string(fingerprint) }
    return members
  }

  private static func members(
    _ spec: InterventionSpec,
    _ provenance: PluginProvenance
  ) -> [String: JSONValue] {
    var members: [String: JSONValue] = [
      "plugin": .string(spec.plugin), "layers": .array(spec.layers.map { .int(Int64($0)) }),
      "component": .string(spec.component.rawValue),
      "positions": .string(spec.positions.description),
      "share_weights": spec.sharing == .none
        ? .string(spec.sharing.word) : .bool(spec.shareWeights),
      "options": .object(spec.options.mapValues(\.json)),
    ]
    if let heads = spec.heads { members["heads"] = .array(heads.map { .int(Int64($0)) }) }
    if !spec.tie.isEmpty {
      members["tie"] = .array(spec.tie.map(\.rawValue).sorted().map(JSONValue.string))
    }
    if let isolation = spec.isolation { members["isolation"] = .string(isolation.rawValue) }
    for (key, value) in [
      ("plugin_id", provenance.id), ("plugin_version", provenance.version),
      ("abi", provenance.abi), ("plugin_hash", provenance.hash),
    ] {
      if let value { members[key] = .string(value) }
    }
    return members
  }
}

extension OptionValue {
  /// The value as a file has it.
  var json: JSONValue {
    switch self {
    case .int(let value): .int(value)
    case .float(let value): .double(value)
    case .string(let value): .string(value)
    case .flag(let value): .bool(value)
    }
  }
}
