// SPDX-License-Identifier: Apache-2.0
// JSON files of our own: read whole by the one reader, and as values of a type.

import Foundation

/// Reads whole JSON files.
package enum JSONFile {
  /// The most bytes of such a file: 64 MiB.
  package static let limit = 64 << 20

  /// Reads a file.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - limit: the most bytes that it may have.
  ///   - keys: when two keys of one object are the same.
  /// - Returns: its value.
  /// - Throws: `inputMissing` when there is no such file, `badData` with file, line and column when it
  ///   is no JSON or too long, `inputOutput` when the system refuses.
  package static func read(
    path: String,
    limit: Int = Self.limit,
    keys: JSONScanner.KeyComparison = .asText
  ) throws(ReFTError) -> JSONNode {
    try node(TextFile.bytes(path: path, limit: limit), path: path, keys: keys)
  }

  /// Reads bytes, as if they stood in the file at `path`.
  package static func node(
    _ bytes: [UInt8],
    path: String,
    keys: JSONScanner.KeyComparison = .asText
  ) throws(ReFTError) -> JSONNode {
    let result: Result<JSONNode, JSONFault> = bytes.withUnsafeBytes { bytes in
      do throws(JSONFault) {
        return .success(try JSONScanner.document(bytes, keys: keys))
      } catch {
        return .failure(error)
      }
    }
    do throws(JSONFault) {
      return try result.get()
    } catch {
      throw ReFTError.notJSON(path, error)
    }
  }

  /// Reads a file as a value of a type.
  ///
  /// - Throws: as `read(path:limit:)`; `badData` with the place of the first value that does not fit.
  package static func decode<Value: Decodable>(
    _ type: Value.Type = Value.self,
    path: String
  ) throws(ReFTError) -> Value {
    try decode(TextFile.bytes(path: path, limit: limit), path: path)
  }

  /// Reads bytes as a value of a type; throws as the version for files.
  package static func decode<Value: Decodable>(
    _ bytes: [UInt8],
    path: String
  ) throws(ReFTError) -> Value {
    let root = try node(bytes, path: path)
    do {
      return try JSONDecoder().decode(Value.self, from: Data(bytes))
    } catch {
      throw ReFTError.wrongJSON(path, root: root, cause: error)
    }
  }
}

extension ReFTError {
  /// A file that is no JSON.
  static func notJSON(_ path: String, _ fault: JSONFault) -> ReFTError {
    let remedy = fault.isEncoding ? JSONFault.encodingRemedy : "mend the file, or restore it"
    return ReFTError(
      .badData,
      "\(path):\(fault.place): not JSON: \(fault.message); \(remedy)",
      cause: fault
    )
  }

  /// JSON whose values are not those that are expected.
  static func wrongJSON(_ path: String, root: JSONNode, cause: any Error) -> ReFTError {
    let (keys, reason) = WrongValue.read(cause)
    var node = root
    for key in keys {
      if let index = key.intValue, case .list(let items) = node.content, items.indices ~= index {
        node = items[index]
      } else if let member = node[key.stringValue] {
        node = member
      }
    }
    let name = keys.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
    return ReFTError(
      .badData,
      "\(path):\(node.place): \(name.isEmpty ? "the document" : "'\(name.shown())'") \(reason), found "
        + "\(node.shown); mend the file, or restore it",
      cause: cause
    )
  }
}

/// What Foundation says of a value that does not fit its type.
private enum WrongValue {
  static func read(_ error: any Error) -> (keys: [any CodingKey], reason: String) {
    switch error {
    case DecodingError.typeMismatch(let type, let context):
      (context.codingPath, "must be \(name(type))")
    case DecodingError.valueNotFound(let type, let context):
      (context.codingPath, "must be \(name(type))")
    case DecodingError.keyNotFound(let key, let context):
      (context.codingPath, "must have the key '\(key.stringValue)'")
    case DecodingError.dataCorrupted(let context):
      (context.codingPath, "does not fit its type")
    default: ([], "does not fit its type")
    }
  }

  private static func name(_ type: any Any.Type) -> String {
    switch type {
    case is Bool.Type: "true or false"
    case is String.Type: "a text"
    case is any BinaryInteger.Type: "a whole number in range"
    case is any BinaryFloatingPoint.Type: "a number"
    case is any Sequence.Type: "a list"
    default: "an object"
    }
  }
}
