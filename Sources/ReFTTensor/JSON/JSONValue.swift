// SPDX-License-Identifier: Apache-2.0
// Any JSON value, to be written. Reading is in `JSONScanner`.

/// A JSON value.
public enum JSONValue: Sendable, Hashable, Encodable {
  /// null
  case null
  /// true or false
  case bool(Bool)
  /// A number without a fraction.
  case int(Int64)
  /// A number.
  case double(Double)
  /// A text.
  case string(String)
  /// A list.
  case array([JSONValue])
  /// An object.
  case object([String: JSONValue])

  /// Writes the value.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .bool(let value): try container.encode(value)
    case .int(let value): try container.encode(value)
    case .double(let value): try container.encode(value)
    case .string(let value): try container.encode(value)
    case .array(let value): try container.encode(value)
    case .object(let value): try container.encode(value)
    }
  }
}
