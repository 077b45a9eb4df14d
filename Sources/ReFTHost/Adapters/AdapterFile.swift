// SPDX-License-Identifier: Apache-2.0
// `adapter_config.json`: what stands in it, and how it is read and written.

import Foundation
import ReFTModel
import ReFTTensor

/// The content of `adapter_config.json`.
struct AdapterFile {
  static let configName = "adapter_config.json"
  static let tensorName = "adapter_model.safetensors"
  static let cardName = "README.md"
  static let format = "reft-adapter"
  static let version = 1

  var base: BaseModelReference
  var specs: [InterventionSpec]
  var provenance: [PluginProvenance]
  var lora: LoRASpec?
  var head: HeadSpec?
  var template: String?
  var training: [String: JSONValue]
  var warnings: [String] = []

  /// Reads the file of an adapter folder.
  init(folder: String) throws(ReFTError) {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue
    else { throw .adapterMissing(folder) }
    let path = folder + "/" + Self.configName
    guard FileManager.default.fileExists(atPath: path) else { throw .adapterMissing(folder) }
    let root = try JSONReader(file: path)
    guard try root.required("format").string() == Self.format else {
      throw try root.required("format").fault("'\(Self.format)'")
    }
    let version = try root.required("format_version").int()
    guard version == Self.version else {
      let place = "\(path):\(try root.required("format_version").node.place)"
      throw .adapterVersion(place, found: version, known: Self.version)
    }
    base = try Self.base(root.required("base_model"))
    specs = []
    provenance = []
    for item in try root.required("interventions").items() {
      specs.append(try Self.spec(item))
      provenance.append(try Self.provenance(item))
    }
    lora = try root.optional("lora").map { reader throws(ReFTError) in try LoRASpec(reader) }
    head = try root.optional("head").map { reader throws(ReFTError) in try HeadSpec(reader) }
    template = try root.optional("template")?.string()
    training = [:]
    if let notes = try root.optional("training") {
      guard case .object(let members) = notes.node.value else { throw notes.fault("an object") }
      training = members
    }
    let known = [
      "format", "format_version", "base_model", "interventions", "lora", "head", "template",
      "training",
    ]
    for member in root.members where !known.contains(member.key) {
      warnings.append(
        "\(path):\(member.place): the key '\(member.key.shown())' is one that this version does not "
          + "know; it is ignored"
      )
    }
  }

  private static func base(_ reader: JSONReader) throws(ReFTError) -> BaseModelReference {
    BaseModelReference(
      name: try reader.optional("name")?.string() ?? "",
      architecture: try reader.required("architecture").string(),
      hiddenSize: try reader.required("hidden_size").int(),
      layers: try reader.required("layers").int(),
      fingerprint: try reader.optional("fingerprint")?.string()
    )
  }

  private static let specKeys = [
    "plugin", "plugin_id", "plugin_version", "plugin_hash", "abi", "layers", "component",
    "positions", "share_weights", "options", "isolation", "heads", "tie",
  ]

  private static func spec(_ reader: JSONReader) throws(ReFTError) -> InterventionSpec {
    guard case .object = reader.node.content else { throw reader.fault("an object") }
    for member in reader.members where !specKeys.contains(member.key) {
      throw .adapterUnknownKey(
        "\(reader.file):\(member.place)",
        place: "\(reader.place).\(member.key.shown())",
        nearest: NearestName.find(member.key, in: specKeys)
      )
    }
    let component = try reader.required("component")
    guard let place = Component(rawValue: try component.string()) else {
      throw component.fault(
        "one of " + Component.allCases.map(\.rawValue).joined(separator: ", ")
      )
    }
    var isolation: Isolation?
    if let text = try reader.optional("isolation") {
      isolation = Isolation(rawValue: try text.string())
      guard isolation != nil else { throw text.fault("'none' or 'process'") }
    }
    var layers: [Int] = []
    for item in try reader.required("layers").items() { layers.append(try item.int()) }
    return InterventionSpec(
      plugin: try reader.required("plugin").string(),
      layers: layers,
      component: place,
      positions: try positions(reader.required("positions")),
      options: try reader.optional("options")?.options() ?? [:],
      isolation: isolation,
      sharing: try sharing(reader),
      heads: try heads(reader),
      tie: try tie(reader)
    )
  }

  private static func sharing(_ reader: JSONReader) throws(ReFTError) -> WeightSharing {
    guard let node = try reader.optional("share_weights") else { return .positions }
    guard case .string(let text) = node.node.value else { return WeightSharing(try node.bool()) }
    guard let sharing = WeightSharing(word: text) else {
      throw node.fault("true, false, 'positions', 'ends' or 'none'")
    }
    return sharing
  }

  private static func heads(_ reader: JSONReader) throws(ReFTError) -> [Int]? {
    guard let node = try reader.optional("heads") else { return nil }
    var heads: [Int] = []
    for item in try node.items() { heads.append(try item.int()) }
    return heads
  }

  private static func tie(_ reader: JSONReader) throws(ReFTError) -> Set<TieAxis> {
    var axes: Set<TieAxis> = []
    for item in try reader.optional("tie")?.items() ?? [] {
      guard let axis = TieAxis(rawValue: try item.string()) else {
        throw item.fault("'layers' or 'heads'")
      }
      axes.insert(axis)
    }
    return axes
  }

  private static func positions(_ reader: JSONReader) throws(ReFTError) -> PositionRule {
    let text = try reader.string()
    do throws(ReFTError) {
      return try PositionRule(text)
    } catch {
      throw .adapterPositions(
        "\(reader.file):\(reader.node.place)",
        place: reader.place,
        cause: error
      )
    }
  }

  private static func provenance(_ reader: JSONReader) throws(ReFTError) -> PluginProvenance {
    PluginProvenance(
      id: try reader.optional("plugin_id")?.string(),
      version: try reader.optional("plugin_version")?.string(),
      abi: try reader.optional("abi")?.string(),
      hash: try reader.optional("plugin_hash")?.string()
    )
  }
}
