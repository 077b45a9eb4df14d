// SPDX-License-Identifier: Apache-2.0
// The object `lora` of `adapter_config.json`.

import ReFTModel
public import ReFTTensor

extension LoRASpec {
  private static let keys = [
    "rank", "alpha", "dropout", "targets", "layers", "rank_stabilized", "heads",
  ]

  /// The LoRA as an adapter folder keeps it.
  public var members: [String: JSONValue] {
    var members: [String: JSONValue] = [
      "rank": .int(Int64(rank)), "alpha": .double(alpha), "dropout": .double(dropout),
      "targets": .array(targets.map { .string($0.rawValue) }),
      "layers": .array(layers.map { .int(Int64($0)) }),
      "rank_stabilized": .bool(isRankStabilized),
    ]
    if let heads {
      members["heads"] = .object([
        "count": .int(Int64(heads.count)), "key_value_count": .int(Int64(heads.keyValueCount)),
        "size": .int(Int64(heads.size)),
      ])
    }
    return members
  }

  /// Reads a LoRA.
  ///
  /// - Throws: `.badData` with file and place for anything that is no LoRA.
  init(_ reader: JSONReader) throws(ReFTError) {
    guard case .object = reader.node.content else { throw reader.fault("an object") }
    for member in reader.members where !Self.keys.contains(member.key) {
      throw .adapterUnknownKey(
        "\(reader.file):\(member.place)",
        place: "\(reader.place).\(member.key.shown())",
        nearest: NearestName.find(member.key, in: Self.keys)
      )
    }
    let rank = try reader.required("rank")
    guard (1...Self.maximumRank).contains(try rank.int()) else {
      throw rank.fault("1 to \(Self.maximumRank)")
    }
    let alpha = try reader.required("alpha")
    guard let alphaValue = alpha.node.number, alphaValue > 0, alphaValue.isFinite else {
      throw alpha.fault("a number above 0")
    }
    var targets: [BlockProjection] = []
    for item in try reader.required("targets").items() {
      guard let target = BlockProjection(rawValue: try item.string()) else {
        throw item.fault(
          "one of " + BlockProjection.allCases.map(\.rawValue).joined(separator: ", ")
        )
      }
      targets.append(target)
    }
    var layers: [Int] = []
    for item in try reader.required("layers").items() { layers.append(try item.int()) }
    self.init(
      rank: try rank.int(),
      alpha: alphaValue,
      dropout: try Self.dropout(reader.optional("dropout")),
      targets: targets,
      layers: layers,
      isRankStabilized: try reader.optional("rank_stabilized")?.bool() ?? false
    )
    heads = try reader.optional("heads").map { reader throws(ReFTError) in
      Heads(
        count: try reader.required("count").int(),
        keyValueCount: try reader.required("key_value_count").int(),
        size: try reader.required("size").int()
      )
    }
  }

  private static func dropout(_ reader: JSONReader?) throws(ReFTError) -> Double {
    guard let reader else { return 0 }
    guard let number = reader.node.number, (0..<1).contains(number) else {
      throw reader.fault("a number from 0 and below 1")
    }
    return number
  }

  /// Makes sure that a model has the matrices.
  ///
  /// - Throws: `.badConfiguration` naming the key.
  func check(_ model: ModelConfiguration) throws(ReFTError) {
    guard !targets.isEmpty else { throw .loraNothing("targets", "name a matrix, such as q_proj") }
    guard !layers.isEmpty else {
      throw .loraNothing("layers", "write all, or blocks such as [2, 10]")
    }
    if let target = targets.first(where: { !model.projections.contains($0) }) {
      throw .loraTarget(target, known: model.projections, model.architecture)
    }
    for whole in [BlockProjection.queryKeyValue, .gateUp] where targets.contains(whole) {
      let part = targets.first { $0 != whole && $0.product == whole.product }
      if let part { throw .loraTargetTwice(part, whole) }
    }
    if let layer = layers.first(where: { !(0..<model.layers).contains($0) }) {
      throw .loraLayer(layer, layers: model.layers)
    }
    if let index = layers.indices.dropFirst().first(where: { layers[$0] <= layers[$0 - 1] }) {
      throw .loraOrder(layers[index])
    }
  }
}

extension ReFTError {
  static func loraNothing(_ key: String, _ remedy: String) -> ReFTError {
    ReFTError(.badConfiguration, "lora.\(key) is empty; \(remedy)")
  }

  static func loraTarget(
    _ target: BlockProjection,
    known: [BlockProjection],
    _ family: String
  ) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "lora.targets names \(target.rawValue), which blocks of the family \(family) do not have; choose of "
        + known.map(\.rawValue).joined(separator: ", ")
    )
  }

  static func loraTargetTwice(_ part: BlockProjection, _ whole: BlockProjection) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "lora.targets names \(part.rawValue) and \(whole.rawValue), of which it is a part; name one of them"
    )
  }

  static func loraLayer(_ layer: Int, layers: Int) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "lora.layers names layer \(layer); the model has \(layers) blocks, 0 to \(layers - 1)"
    )
  }

  static func loraOrder(_ layer: Int) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "lora.layers names layer \(layer) twice, or after a higher one; name each once, ascending"
    )
  }
}
