// SPDX-License-Identifier: Apache-2.0
// The value of one option of a plugin, as a configuration or an adapter file states it.

/// A value that a user gives to an option of a plugin.
public enum OptionValue: Sendable, Hashable, CustomStringConvertible {
  /// A whole number.
  case int(Int64)
  /// A number.
  case float(Double)
  /// A text.
  case string(String)
  /// A switch.
  case flag(Bool)

  /// The value as a user would write it.
  public var description: String {
    switch self {
    case .int(let value): String(value)
    case .float(let value): String(value)
    case .string(let value): value
    case .flag(let value): String(value)
    }
  }

  /// Whether it is 0, off or empty.
  var isZero: Bool {
    switch self {
    case .int(let value): value == 0
    case .float(let value): value == 0
    case .string(let value): value.isEmpty
    case .flag(let value): !value
    }
  }

  /// What kind of value it is, for messages.
  public var kind: String {
    switch self {
    case .int: "a whole number"
    case .float: "a number"
    case .string: "a text"
    case .flag: "true or false"
    }
  }
}

extension OptionValue: Codable {
  /// Reads the JSON or YAML scalar.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let value = try? container.decode(Bool.self) {
      self = .flag(value)
    } else if let value = try? container.decode(Int64.self) {
      self = .int(value)
    } else if let value = try? container.decode(Double.self) {
      self = .float(value)
    } else {
      self = .string(try container.decode(String.self))
    }
  }

  /// Writes the bare scalar.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .int(let value): try container.encode(value)
    case .float(let value): try container.encode(value)
    case .string(let value): try container.encode(value)
    case .flag(let value): try container.encode(value)
    }
  }
}
