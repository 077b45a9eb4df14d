// SPDX-License-Identifier: Apache-2.0
// The check of a user's options against the schema of a plugin.

public import ReFTTensor

extension Plugin {
  /// Checks options against the plugin's schema and gives each the type that the schema states.
  ///
  /// - Returns: the options that were given; those left out keep the plugin's defaults.
  /// - Throws: `.badConfiguration`, with the nearest name or the allowed values.
  public func resolvedOptions(
    _ given: [String: OptionValue]
  ) throws(ReFTError) -> [String: OptionValue] {
    var result: [String: OptionValue] = [:]
    for (name, value) in given.sorted(by: { $0.key < $1.key }) {
      guard let option = options.first(where: { $0.name == name }) else {
        throw .unknownOption(name, plugin: self.name, known: options.map(\.name))
      }
      result[name] = try option.resolve(value, plugin: self.name)
    }
    return result
  }
}

extension PluginOption {
  /// The value in the type of the option, after a check of range and choices.
  func resolve(_ value: OptionValue, plugin: String) throws(ReFTError) -> OptionValue {
    switch (kind, value) {
    case (.flag, .flag): return value
    case (.int, .int(let number)):
      try check(Double(number), shown: value, plugin: plugin)
      return value
    case (.int, .float(let number)) where number == number.rounded() && abs(number) < 0x1p53:
      try check(number, shown: value, plugin: plugin)
      return .int(Int64(number))
    case (.float, .int(let number)):
      try check(Double(number), shown: value, plugin: plugin)
      return .float(Double(number))
    case (.float, .float(let number)):
      guard number.isFinite else {
        throw .badOption(name, plugin: plugin, found: value, expected: "a finite number")
      }
      try check(number, shown: value, plugin: plugin)
      return value
    case (.tensor, .string), (.file, .string): return value
    case (.string, .string(let text)):
      guard choices.isEmpty || choices.contains(text) else {
        throw .badOption(
          name,
          plugin: plugin,
          found: value,
          expected: "one of " + choices.joined(separator: ", "),
          nearest: NearestName.find(text, in: choices)
        )
      }
      return value
    default:
      throw .badOption(name, plugin: plugin, found: value, expected: expectedKind)
    }
  }

  private func check(_ number: Double, shown: OptionValue, plugin: String) throws(ReFTError) {
    guard let range, !range.contains(number) else { return }
    let bounds =
      kind == .int
      ? "\(Self.whole(range.lowerBound)) to \(Self.whole(range.upperBound))"
      : "\(range.lowerBound) to \(range.upperBound)"
    throw .badOption(name, plugin: plugin, found: shown, expected: "\(expectedKind) from \(bounds)")
  }

  /// A bound of an int's range, which may be one that no int has, such as infinity.
  private static func whole(_ bound: Double) -> String {
    Int64(exactly: bound).map { String($0) } ?? String(bound)
  }

  private var expectedKind: String {
    switch kind {
    case .int: "a whole number"
    case .float: "a number"
    case .string: "a text"
    case .flag: "true or false"
    case .tensor: "a tensor of a file, FILE#TENSOR"
    case .file: "a file"
    }
  }
}
