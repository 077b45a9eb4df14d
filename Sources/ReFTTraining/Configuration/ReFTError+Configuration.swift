// SPDX-License-Identifier: Apache-2.0
// What can be wrong with a configuration, one factory per situation.

import ReFTHost
import ReFTTensor
import Yams

extension ReFTError {
  /// Something about the value at a place.
  static func configuration(_ origin: ConfigurationNode.Origin, _ message: String) -> ReFTError {
    ReFTError(.badConfiguration, "\(origin.description): \(message)")
  }

  static func missingConfiguration(path: String) -> ReFTError {
    ReFTError(.inputMissing, "there is no configuration '\(path)'; check the path")
  }

  static func unreadableConfiguration(path: String, error: any Error) -> ReFTError {
    var place = path
    var reason = "\(error)"
    switch error as? YamlError {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      (place, reason) = ("\(path):\(mark.line):\(mark.column)", problem)
    case .duplicatedKeysInMapping(let duplicates, let context):
      let keys = Set(duplicates).sorted().map { "'\($0)'" }.joined(separator: ", ")
      place = "\(path):\(context.mark.line):\(context.mark.column)"
      reason = "key \(keys) stands there twice"
    default: break
    }
    let line = reason.split(whereSeparator: \.isNewline).joined(separator: " ")
    return ReFTError(
      .badConfiguration,
      "\(place): not YAML: \(line); check indentation, colons and quotes",
      cause: error
    )
  }

  static func emptyConfiguration(path: String) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "\(path):1:1: the configuration is empty; it needs at least model, data.train and interventions"
    )
  }

  static func wrongType(_ node: ConfigurationNode, key: String, expected: String) -> ReFTError {
    configuration(node.origin, "'\(key)' must be \(expected), found \(node.found)")
  }

  static func impossibleValue(
    _ node: ConfigurationNode,
    key: String,
    expected: String
  ) -> ReFTError {
    configuration(node.origin, "'\(key)' is \(node.found), which cannot be; expected \(expected)")
  }

  static func unknownChoice(
    _ node: ConfigurationNode,
    key: String,
    valid: [String]
  ) -> ReFTError {
    var found = node.found
    if case .scalar(let text, _) = node.content {
      found += NearestName.find(text, in: valid).map { " (did you mean '\($0)'?)" } ?? ""
    }
    return configuration(
      node.origin,
      "'\(key)' must be one of \(valid.joined(separator: ", ")); found \(found)"
    )
  }

  static func unknownKey(
    _ entry: ConfigurationNode.Entry,
    in path: String,
    valid: [String]
  ) -> ReFTError {
    let place = path.isEmpty ? "at the top level" : "in '\(path)'"
    let guess = NearestName.find(entry.key, in: valid).map { "; did you mean '\($0)'?" } ?? "."
    return configuration(
      entry.keyOrigin,
      "unknown key '\(entry.key)' \(place)\(guess) Valid keys: \(valid.joined(separator: ", "))"
    )
  }

  static func missingKey(
    _ key: String,
    at origin: ConfigurationNode.Origin,
    purpose: String
  ) -> ReFTError {
    configuration(origin, "key '\(key)' is missing; \(purpose)")
  }
}

extension ReFTError {
  static func hugeConfiguration(_ path: String, _ byteCount: Int) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "\(path): \(byteCount) bytes are no configuration; expected YAML of at most 1 MiB"
    )
  }

  static func configurationNotText(_ path: String) -> ReFTError {
    ReFTError(.badConfiguration, "\(path): not UTF-8 text; expected a YAML file in UTF-8")
  }
}
