// SPDX-License-Identifier: Apache-2.0
// Values of a random sweep: each key has its own stream of numbers, so that more draws, or another key,
// leave the draws that there were as they are.

import Foundation
import ReFTTensor

/// Where the values of a key come from.
enum SweepDraw {
  /// Between two bounds; whole numbers where both bounds are written as such.
  case uniform(Double, Double, isWhole: Bool)
  /// The same with equal chances for equal ratios.
  case logUniform(Double, Double, isWhole: Bool)
  /// One of some values.
  case choice([ConfigurationNode])

  /// Reads `{uniform: [a, b]}`, `{log_uniform: [a, b]}` or `{choice: […]}`.
  init(_ node: ConfigurationNode, key: String) throws(ReFTError) {
    var reader = try ConfigurationReader(node, path: key)
    let uniform = reader.node("uniform")
    let logarithmic = reader.node("log_uniform")
    let choice = reader.node("choice")
    try reader.finish()
    switch (uniform, logarithmic, choice) {
    case (let bounds?, nil, nil):
      let (low, high, isWhole) = try Self.bounds(bounds, key: key + ".uniform", above: nil)
      self = .uniform(low, high, isWhole: isWhole)
    case (nil, let bounds?, nil):
      let (low, high, isWhole) = try Self.bounds(bounds, key: key + ".log_uniform", above: 0)
      self = .logUniform(low, high, isWhole: isWhole)
    case (nil, nil, let values?):
      guard case .sequence(let items) = values.content, !items.isEmpty else {
        throw .wrongType(values, key: key + ".choice", expected: "a list of values")
      }
      self = .choice(items)
    default:
      throw .configuration(
        node.origin,
        "'\(key)' must have one of uniform, log_uniform and choice, such as {log_uniform: [1e-4, "
          + "1e-2]}"
      )
    }
  }

  private static func bounds(
    _ node: ConfigurationNode,
    key: String,
    above floor: Double?
  ) throws(ReFTError) -> (Double, Double, Bool) {
    let expected =
      "two numbers, the lower first" + (floor == nil ? "" : ", both above 0")
      + ", such as [1e-4, 1e-2]"
    guard case .sequence(let items) = node.content, items.count == 2,
      let low = items[0].numberValue, let high = items[1].numberValue
    else { throw .wrongType(node, key: key, expected: expected) }
    guard low < high, low > floor ?? -.infinity else {
      throw .configuration(
        node.origin,
        "'\(key)' is [\(items[0].summary), \(items[1].summary)], which cannot be; expected \(expected)"
      )
    }
    let isWhole = items.allSatisfy { $0.integerValue != nil }
    return (low, high, isWhole)
  }

  /// How many different values it can give; the largest number where that is not known.
  var valueCount: Int {
    switch self {
    case .choice(let values): Set(values.map(\.identity)).count
    case .uniform(let low, let high, isWhole: true), .logUniform(let low, let high, isWhole: true):
      high - low < 1e15 ? Int(high - low) + 1 : .max
    case .uniform, .logUniform: .max
    }
  }

  /// A draw: number `index` of the stream that seed and key name.
  func value(
    seed: UInt64,
    key: String,
    index: Int,
    origin: ConfigurationNode.Origin
  ) -> ConfigurationNode {
    // The key's own stream, by FNV-1a of its name.
    let name = key.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) {
      ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3
    }
    let random = CounterRandom(key: seed, step: name)
    let offset = UInt64(index)
    let part = Double(random.bits(offset: offset) >> 11) * 0x1p-53
    switch self {
    case .choice(let values):
      return values[Int(random.integer(below: UInt64(values.count), offset: offset))]
    case .uniform(let low, let high, let isWhole):
      // A whole number stands for the unit around it, so that the bounds are as likely as the rest.
      let width = high - low
      let value = isWhole ? (low + part * (width + 1)).rounded(.down) : low + part * width
      return Self.node(min(value, high), isWhole: isWhole, origin)
    case .logUniform(let low, let high, let isWhole):
      let (from, to) = isWhole ? (low - 0.5, high + 0.5) : (low, high)
      let drawn = exp(log(from) + part * (log(to) - log(from)))
      let value = isWhole ? drawn.rounded() : drawn
      return Self.node(min(max(value, low), high), isWhole: isWhole, origin)
    }
  }

  /// Four digits: what is shown is what is used.
  private static func node(
    _ value: Double,
    isWhole: Bool,
    _ origin: ConfigurationNode.Origin
  ) -> ConfigurationNode {
    let text = isWhole ? "\(Int(value))" : String(format: "%.4g", value)
    return ConfigurationNode(content: .scalar(text, quoted: false), origin: origin)
  }
}

extension ConfigurationNode {
  /// A text that equal values have in common, however they are written: 0.1 and 1.0e-1, and keys in any
  /// order.
  var identity: String {
    switch content {
    case .scalar(let text, _):
      if let whole = integerValue { return "\(whole)" }
      guard let number = numberValue else { return text }
      return Int(exactly: number).map { "\($0)" } ?? "\(number)"
    case .sequence(let items):
      return "[" + items.map(\.identity).joined(separator: ", ") + "]"
    case .mapping(let entries):
      let pairs = entries.map { "\($0.key): \($0.value.identity)" }
      return "{" + pairs.sorted().joined(separator: ", ") + "}"
    }
  }

  /// The value in one line, as YAML writes it in flow.
  var summary: String {
    switch content {
    case .scalar(let text, _): text
    case .sequence(let items): "[" + items.map(\.summary).joined(separator: ", ") + "]"
    case .mapping(let entries):
      "{" + entries.map { "\($0.key): \($0.value.summary)" }.joined(separator: ", ") + "}"
    }
  }
}
