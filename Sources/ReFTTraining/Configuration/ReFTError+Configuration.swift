// SPDX-License-Identifier: Apache-2.0
// What can be wrong with a configuration, one factory per situation.

import ReFTHost
package import ReFTTensor
import Yams

extension ReFTError {
  /// Something about the value at a place.
  package static func configuration(
    _ origin: ConfigurationNode.Origin,
    _ message: String
  ) -> ReFTError {
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
      if problem == tabProblem { reason += ", perhaps a tab: indentation is of blanks" }
    case .duplicatedKeysInMapping(let duplicates, let context):
      return keyTwice(
        .file(path: path, line: context.mark.line, column: context.mark.column),
        key: duplicates.first ?? "",
        first: nil
      )
    default: break
    }
    let line = reason.split(whereSeparator: \.isNewline).joined(separator: " ")
    return ReFTError(
      .badConfiguration,
      "\(place): not YAML: \(line); check indentation, colons and quotes",
      cause: error
    )
  }

  private static var tabProblem: String { "found character that cannot start any token" }

  /// One of two places of a key is known, or both.
  static func keyTwice(
    _ origin: ConfigurationNode.Origin,
    key: String,
    first: ConfigurationNode.Origin?
  ) -> ReFTError {
    configuration(
      origin,
      "key '\(key.shown())' stands twice in one mapping"
        + (first.map { ", first at \($0.description)" } ?? "") + "; keep one"
    )
  }

  static func emptyConfiguration(path: String, _ kind: ConfigurationKind) -> ReFTError {
    ReFTError(.badConfiguration, "\(path):1:1: \(kind.emptiness)")
  }

  /// A value of another type than the key's.
  package static func wrongType(
    _ node: ConfigurationNode,
    key: String,
    expected: String
  ) -> ReFTError {
    configuration(node.origin, "'\(key)' must be \(expected), found \(node.found)")
  }

  /// A value out of the key's range.
  package static func impossibleValue(
    _ node: ConfigurationNode,
    key: String,
    expected: String
  ) -> ReFTError {
    configuration(node.origin, "'\(key)' is \(node.found), which cannot be; expected \(expected)")
  }

  /// A word that is none of those that the key knows.
  package static func unknownChoice(
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
      "unknown key '\(entry.key.shown())' \(place)\(guess) Valid keys: \(valid.joined(separator: ", "))"
    )
  }

  /// What a plugin's schema says against an option, at the option.
  static func option(
    _ place: InterventionOptions.OptionPlace,
    isKnown: Bool,
    _ fault: ReFTError
  ) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "\(isKnown ? place.value : place.key): '\(place.path.shown())': \(fault.message)",
      cause: fault
    )
  }

  /// A tag that asks for what only another program has.
  static func foreignTag(_ origin: ConfigurationNode.Origin, _ tag: String) -> ReFTError {
    let what =
      tag == "!function" ? "asks for Python code, and this program runs none" : "is not known here"
    return configuration(
      origin,
      "the tag '\(tag.shown())' \(what); write the value itself, or do the work beforehand and name "
        + "the file that it makes"
    )
  }

  /// A key without which nothing can be done.
  package static func missingKey(
    _ key: String,
    at origin: ConfigurationNode.Origin,
    purpose: String
  ) -> ReFTError {
    configuration(origin, "key '\(key)' is missing; \(purpose)")
  }
}

extension ReFTError {
  /// `place` is that of the first byte that is no text.
  static func configurationNotText(_ place: String) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "\(place): bytes that are not UTF-8; \(JSONFault.encodingRemedy)"
    )
  }
}
