// SPDX-License-Identifier: Apache-2.0
// The object `head` of `adapter_config.json`.

public import ReFTTensor

extension HeadSpec {
  private static let keys = [
    "task", "labels", "pooling", "hidden", "activation", "dropout",
  ]

  /// The head as an adapter folder keeps it.
  public var members: [String: JSONValue] {
    var members: [String: JSONValue] = [
      "task": .string(task.rawValue), "pooling": .string(pooling.rawValue),
      "hidden": .string(hidden.rawValue), "dropout": .double(dropout),
    ]
    if hidden == .dense { members["activation"] = .string(activation.rawValue) }
    if let names = labels.names {
      members["labels"] = .array(names.map { .string($0) })
    } else {
      members["labels"] = .int(Int64(labels.count))
    }
    return members
  }

  /// Reads a head.
  ///
  /// - Throws: `.badData` with file and place for anything that is no head.
  init(_ reader: JSONReader) throws(ReFTError) {
    guard case .object = reader.node.content else { throw reader.fault("an object") }
    for member in reader.members where !Self.keys.contains(member.key) {
      throw .adapterUnknownKey(
        "\(reader.file):\(member.place)",
        place: "\(reader.place).\(member.key.shown())",
        nearest: NearestName.find(member.key, in: Self.keys)
      )
    }
    let task: Task = try Self.choice(reader.required("task"))
    let labels = try Self.labels(reader.required("labels"))
    if let fault = Self.fault(of: labels, task) {
      throw try reader.required("labels").fault(fault)
    }
    var dropout = 0.0
    if let node = try reader.optional("dropout") {
      guard let number = node.node.number, (0..<1).contains(number) else {
        throw node.fault("a number from 0 and below 1")
      }
      dropout = number
    }
    self.init(
      task: task,
      labels: labels,
      pooling: try Self.choice(reader.required("pooling")),
      hidden: try Self.choice(reader.optional("hidden")) ?? .none,
      activation: try Self.choice(reader.optional("activation")) ?? .tanh,
      dropout: dropout
    )
  }

  /// What labels a task must have, in words that follow "must be"; nil where they fit.
  public static func fault(of labels: LabelSet, _ task: Task) -> String? {
    if let names = labels.names, Set(names).count < names.count { return "names that differ" }
    return switch task {
    case .classification where !(2...LabelSet.maximumCount).contains(labels.count):
      "2 to \(LabelSet.maximumCount) labels for a classification"
    case .multiLabel where !(1...LabelSet.maximumCount).contains(labels.count):
      "1 to \(LabelSet.maximumCount) labels"
    case .regression where labels.count != 1 || labels.names != nil:
      "1 for a regression, whose one output is a number"
    default: nil
    }
  }

  private static func labels(_ reader: JSONReader) throws(ReFTError) -> LabelSet {
    if case .integer = reader.node.content {
      let count = try reader.int()
      guard (1...LabelSet.maximumCount).contains(count) else {
        throw reader.fault("1 to \(LabelSet.maximumCount), or a list of names")
      }
      return LabelSet(count: count)
    }
    var names: [String] = []
    for item in try reader.items() { names.append(try item.string()) }
    return LabelSet(names: names)
  }

  private static func choice<Value: RawRepresentable & CaseIterable>(
    _ reader: JSONReader
  ) throws(ReFTError) -> Value where Value.RawValue == String {
    guard let value = Value(rawValue: try reader.string()) else {
      throw reader.fault("one of " + Value.allCases.map(\.rawValue).joined(separator: ", "))
    }
    return value
  }

  private static func choice<Value: RawRepresentable & CaseIterable>(
    _ reader: JSONReader?
  ) throws(ReFTError) -> Value? where Value.RawValue == String {
    guard let reader else { return nil }
    return try choice(reader) as Value
  }
}
