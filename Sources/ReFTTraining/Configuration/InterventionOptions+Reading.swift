// SPDX-License-Identifier: Apache-2.0
// An entry of `interventions`, read.

import ReFTHost
import ReFTModel
import ReFTTensor

extension InterventionOptions {
  /// Reads one entry.
  ///
  /// - Throws: `badConfiguration` with the place, for what is unknown or impossible.
  init(_ reader: consuming ConfigurationReader) throws(ReFTError) {
    var reader = reader
    guard let plugin = try reader.string("plugin") else {
      throw .missingKey(
        reader.name("plugin"),
        at: reader.origin,
        purpose: "name one of `reft plugin list`"
      )
    }
    self.init(plugin: plugin)
    place = reader.origin.description
    try readPlaces(&reader)
    if let node = reader.node("isolation") {
      let text = try node.string(key: reader.name("isolation"))
      guard let value = Isolation(rawValue: text) else {
        throw .unknownChoice(node, key: reader.name("isolation"), valid: ["none", "process"])
      }
      isolation = value
    }
    learningRate = try reader.learningRate()
    auxiliaryWeight =
      try reader.number("auxiliary_weight", expected: "a number of at least 0") { $0 >= 0 }
    if let node = reader.node("options") {
      let path = reader.name("options")
      for entry in try ConfigurationReader(node, path: path).keys {
        let key = "\(path).\(entry.key)"
        options[entry.key] = try Self.option(entry.value, key: key)
        optionPlaces[entry.key] = OptionPlace(
          path: key,
          key: entry.keyOrigin.description,
          value: entry.value.origin.description
        )
      }
    }
    try reader.finish()
  }

  /// Reads where the intervention edits, and which places share parameters.
  private mutating func readPlaces(_ reader: inout ConfigurationReader) throws(ReFTError) {
    if let node = reader.node("layers") {
      layers = try node.layers(key: reader.name("layers"))
    }
    component = try reader.choice("component") ?? component
    if let node = reader.node("positions") {
      positions = try Self.positions(node, key: reader.name("positions"))
    }
    if let node = reader.node("share_weights") {
      sharing = try Self.sharing(node, key: reader.name("share_weights"))
    }
    if let node = reader.node("heads") {
      heads = try Self.heads(node, key: reader.name("heads"))
    }
    if let node = reader.node("tie") { tie = try Self.tie(node, key: reader.name("tie")) }
  }

  private static func sharing(
    _ node: ConfigurationNode,
    key: String
  ) throws(ReFTError) -> WeightSharing {
    guard case .scalar(let text, _) = node.content, let value = WeightSharing(word: text) else {
      throw .wrongType(
        node,
        key: key,
        expected: "true (one set for all positions), false (one for each end) or none (one each)"
      )
    }
    return value
  }

  private static func heads(_ node: ConfigurationNode, key: String) throws(ReFTError) -> [Int] {
    guard case .sequence(let items) = node.content, !items.isEmpty else {
      throw .wrongType(node, key: key, expected: "head numbers from 0 such as [0, 3]")
    }
    var heads: [Int] = []
    for (index, item) in items.enumerated() {
      let head = try item.integer(key: "\(key).\(index)", in: 0...65_535)
      guard !heads.contains(head) else {
        throw .configuration(item.origin, "'\(key)' names head \(head) twice; name it once")
      }
      heads.append(head)
    }
    return heads.sorted()
  }

  private static func tie(
    _ node: ConfigurationNode,
    key: String
  ) throws(ReFTError) -> Set<TieAxis> {
    var nodes = [node]
    if case .sequence(let items) = node.content { nodes = items }
    var axes: Set<TieAxis> = []
    for node in nodes {
      let text = try node.string(key: key)
      guard let axis = TieAxis(rawValue: text) else {
        throw .unknownChoice(node, key: key, valid: TieAxis.allCases.map(\.rawValue))
      }
      axes.insert(axis)
    }
    return axes
  }

  private static func positions(
    _ node: ConfigurationNode,
    key: String
  ) throws(ReFTError) -> PositionRule {
    var text = ""
    if case .sequence(let items) = node.content, items.count == 1,
      case .scalar(let range, _) = items[0].content, range.contains(":")
    {
      text = "[\(range)]"
    } else if case .sequence(let items) = node.content {
      var indices: [String] = []
      for (index, item) in items.enumerated() {
        indices.append(
          String(try item.integer(key: "\(key).\(index)", in: -(1 << 31)...(1 << 31)))
        )
      }
      text = "[" + indices.joined(separator: ",") + "]"
    } else {
      text = try node.string(key: key)
    }
    do {
      return try PositionRule(text)
    } catch {
      throw .configuration(node.origin, "'\(key)': \(error.message)")
    }
  }

  private static func option(
    _ node: ConfigurationNode,
    key: String
  ) throws(ReFTError) -> OptionValue {
    if let value = node.integerValue { return .int(Int64(value)) }
    if let value = node.numberValue { return .float(value) }
    if case .scalar(let text, quoted: false) = node.content, text == "true" || text == "false" {
      return .flag(text == "true")
    }
    return .string(try node.string(key: key))
  }
}
