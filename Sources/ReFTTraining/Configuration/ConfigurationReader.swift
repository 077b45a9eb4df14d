// SPDX-License-Identifier: Apache-2.0
// Typed values out of a configuration tree: each read names the key, and what is left unread at the
// end is an unknown key.

package import ReFTTensor

/// Reads the keys of one mapping, and refuses the keys that nobody asked for.
package struct ConfigurationReader {
  /// The path of keys that leads here, such as `train` or `interventions.0`; empty at the top.
  package let path: String
  /// Where the mapping stands.
  package let origin: ConfigurationNode.Origin
  private let entries: [ConfigurationNode.Entry]
  private var asked: [String] = []

  /// Opens a mapping; a null value is an empty mapping.
  package init(_ node: ConfigurationNode, path: String) throws(ReFTError) {
    self.path = path
    origin = node.origin
    if case .mapping(let entries) = node.content {
      self.entries = entries
    } else if node.isNull {
      entries = []
    } else {
      throw .wrongType(
        node,
        key: path.isEmpty ? "the configuration" : path,
        expected: "a mapping of keys to values"
      )
    }
  }

  /// The keys that the mapping has, in their order.
  package var keys: [ConfigurationNode.Entry] { entries }

  /// The full path of a key of this mapping.
  package func name(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  /// The value of a key; nil when it is absent or null.
  package mutating func node(_ key: String) -> ConfigurationNode? {
    if !asked.contains(key) { asked.append(key) }
    guard let value = entries.first(where: { $0.key == key })?.value, !value.isNull else {
      return nil
    }
    return value
  }

  /// The peak of a learning rate, of the whole run or of one part of the parameters.
  mutating func learningRate() throws(ReFTError) -> Double? {
    try number("learning_rate", expected: "a number from 0 to 100") { (0...100).contains($0) }
  }

  /// Ends the reading.
  ///
  /// - Throws: `badConfiguration` naming the first key that was never asked for, and its neighbours.
  package func finish() throws(ReFTError) {
    for entry in entries where !asked.contains(entry.key) {
      throw .unknownKey(entry, in: path, valid: asked)
    }
  }

  // MARK: Scalars

  /// A text.
  package mutating func string(_ key: String) throws(ReFTError) -> String? {
    guard let node = node(key) else { return nil }
    return try node.string(key: name(key))
  }

  /// One of a set of words.
  package mutating func choice<Value: RawRepresentable & CaseIterable>(
    _ key: String,
    as type: Value.Type = Value.self
  ) throws(ReFTError) -> Value? where Value.RawValue == String {
    guard let node = node(key) else { return nil }
    let text = try node.string(key: name(key))
    guard let value = Value(rawValue: text) else {
      throw .unknownChoice(node, key: name(key), valid: Value.allCases.map(\.rawValue))
    }
    return value
  }

  /// A whole number within bounds.
  package mutating func integer(
    _ key: String,
    in range: ClosedRange<Int>
  ) throws(ReFTError) -> Int? {
    guard let node = node(key) else { return nil }
    return try node.integer(key: name(key), in: range)
  }

  /// A number that satisfies a rule.
  package mutating func number(
    _ key: String,
    expected: String,
    where isValid: (Double) -> Bool
  ) throws(ReFTError) -> Double? {
    guard let node = node(key) else { return nil }
    return try node.number(key: name(key), expected: expected, where: isValid)
  }

  /// A yes or no.
  package mutating func flag(_ key: String) throws(ReFTError) -> Bool? {
    guard let node = node(key) else { return nil }
    guard let value = node.flagValue else {
      throw .wrongType(node, key: name(key), expected: "true or false")
    }
    return value
  }
}

extension ConfigurationNode {
  /// The value as a whole number; nil for other texts and for quoted ones.
  package var integerValue: Int? {
    guard case .scalar(let text, quoted: false) = content else { return nil }
    return Int(text.replacing("_", with: ""))
  }

  /// Whether the value is a whole number, of any size.
  private var isWholeNumber: Bool {
    guard case .scalar(let text, quoted: false) = content else { return false }
    let digits = text.utf8.drop { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") }
    return !digits.isEmpty && digits.allSatisfy { (0x30...0x39).contains($0) }
  }

  /// The value as a finite number; nil for other texts and for quoted ones.
  package var numberValue: Double? {
    guard case .scalar(let text, quoted: false) = content,
      let first = text.first, first.isNumber || "+-.".contains(first),
      !text.lowercased().contains("x"),
      let value = Double(text.replacing("_", with: "")), value.isFinite
    else { return nil }
    return value
  }

  /// The value as true or false; nil for other texts and for quoted ones.
  package var flagValue: Bool? {
    guard case .scalar(let text, quoted: false) = content else { return nil }
    switch text {
    case "true", "True", "yes", "on": return true
    case "false", "False", "no", "off": return false
    default: return nil
    }
  }

  /// The value as a text.
  package func string(key: String) throws(ReFTError) -> String {
    guard case .scalar(let text, _) = content else {
      throw .wrongType(self, key: key, expected: "a text")
    }
    return text
  }

  /// The value as a whole number within bounds.
  package func integer(key: String, in range: ClosedRange<Int>) throws(ReFTError) -> Int {
    let bounds =
      range.upperBound == .max
      ? "of at least \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
    guard let value = integerValue else {
      if isWholeNumber {
        throw .impossibleValue(self, key: key, expected: "a whole number \(bounds)")
      }
      throw .wrongType(self, key: key, expected: "a whole number \(bounds)")
    }
    guard range.contains(value) else {
      throw .impossibleValue(self, key: key, expected: "a whole number \(bounds)")
    }
    return value
  }

  /// The value as a number that satisfies a rule.
  package func number(
    key: String,
    expected: String,
    where isValid: (Double) -> Bool
  ) throws(ReFTError) -> Double {
    guard let value = numberValue else { throw .wrongType(self, key: key, expected: expected) }
    guard isValid(value) else { throw .impossibleValue(self, key: key, expected: expected) }
    return value
  }

  /// The items of a list; a single value counts as a list of one.
  package var items: [ConfigurationNode] {
    if case .sequence(let items) = content { return items }
    return [self]
  }
}
