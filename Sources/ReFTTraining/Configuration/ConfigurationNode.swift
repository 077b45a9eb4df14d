// SPDX-License-Identifier: Apache-2.0
// A configuration as a tree in which every value knows where it was written, so that errors can
// name the place. Reading typed values out of it is in `ConfigurationReader`.

package import ReFTTensor
import Yams

/// A value of a configuration, with the place where it was written.
package struct ConfigurationNode: Equatable {
  /// Where a value was written.
  package enum Origin: Equatable {
    /// A place of a file.
    case file(path: String, line: Int, column: Int)
    /// An argument of --set.
    case override(text: String)

    /// The place as it opens an error message.
    package var description: String {
      switch self {
      case .file(let path, let line, let column): "\(path):\(line):\(column)"
      case .override(let text): "--set \(text)"
      }
    }
  }

  /// One key of a mapping, with its value.
  package struct Entry: Equatable {
    /// The key.
    package var key: String
    /// Where the key stands.
    package var keyOrigin: Origin
    /// Its value.
    package var value: ConfigurationNode
  }

  /// What a value is.
  package indirect enum Content: Equatable {
    /// Keys with values, in their order.
    case mapping([Entry])
    /// A list.
    case sequence([ConfigurationNode])
    /// Text, and whether it was quoted: a quoted `"12"` is a text and never a number.
    case scalar(String, quoted: Bool)
  }

  /// What stands there.
  package var content: Content
  /// Where it stands.
  package var origin: Origin

  /// What stands here, in words.
  package var found: String {
    switch content {
    case .mapping: "a mapping"
    case .sequence: "a list"
    case .scalar(let text, quoted: true): "the text \"\(text.shown())\""
    case .scalar(let text, quoted: false): isNull ? "nothing" : "'\(text.shown())'"
    }
  }

  /// Whether the value is absent: an empty plain scalar, `~` or `null`.
  package var isNull: Bool {
    if case .scalar(let text, quoted: false) = content { return ["", "~", "null"].contains(text) }
    return false
  }
}

extension ConfigurationNode {
  /// The most values that a configuration may hold, aliases counted as often as they are used.
  private static let maximumValueCount = 100_000

  /// Reads YAML text (of which JSON is a part).
  ///
  /// - Parameters:
  ///   - yaml: the text.
  ///   - path: the file's name, for messages.
  ///   - kind: what it describes, for the message about an empty one.
  /// - Returns: the tree.
  /// - Throws: `badConfiguration` for text that is no YAML, an empty file, a key twice.
  package static func parse(
    yaml: String,
    path: String,
    as kind: ConfigurationKind = .run
  ) throws(ReFTError) -> ConfigurationNode {
    let yaml =
      yaml.unicodeScalars.first == "\u{FEFF}" ? String(yaml.unicodeScalars.dropFirst()) : yaml
    try ConfigurationText.checkAliases(yaml, path: path)
    let root: Node?
    do {
      root = try Yams.compose(yaml: yaml)
    } catch {
      throw .unreadableConfiguration(path: path, error: error)
    }
    guard let root else { throw .emptyConfiguration(path: path, kind) }
    var count = 0
    return try convert(root, path: path, count: &count)
  }

  private static func convert(
    _ node: Node,
    path: String,
    count: inout Int
  ) throws(ReFTError) -> ConfigurationNode {
    count += 1
    let origin = Origin.file(path: path, line: node.mark?.line ?? 1, column: node.mark?.column ?? 1)
    guard count <= maximumValueCount else {
      throw .configuration(
        origin,
        "more than \(maximumValueCount) values; a run's configuration has a few dozen"
      )
    }
    try check(tag(of: node), origin)
    switch node {
    case .scalar(let scalar):
      guard scalar.string.hasShortCharacters else {
        throw .configuration(origin, "a text with combining marks without end")
      }
      let quoted = scalar.style != .plain && scalar.style != .any
      return .init(content: .scalar(scalar.string, quoted: quoted), origin: origin)
    case .sequence(let sequence):
      var items: [ConfigurationNode] = []
      for item in sequence { items.append(try convert(item, path: path, count: &count)) }
      return .init(content: .sequence(items), origin: origin)
    case .mapping(let mapping):
      var entries: [Entry] = []
      var seen: [String: Origin] = [:]
      for (key, value) in mapping {
        let place = Origin.file(
          path: path,
          line: key.mark?.line ?? 1,
          column: key.mark?.column ?? 1
        )
        guard case .scalar(let scalar) = key else {
          throw .configuration(place, "a key must be a word, found a list or a mapping")
        }
        guard scalar.string.hasShortCharacters else {
          throw .configuration(place, "a key with combining marks without end")
        }
        if let first = seen.updateValue(place, forKey: scalar.string) {
          throw .keyTwice(place, key: scalar.string, first: first)
        }
        entries.append(
          Entry(
            key: scalar.string,
            keyOrigin: place,
            value: try convert(value, path: path, count: &count)
          )
        )
      }
      return .init(content: .mapping(entries), origin: origin)
    case .alias:
      throw .configuration(origin, "an alias without its anchor; write the value itself")
    }
  }

  /// The tag of a value as it was written; empty where there is none.
  private static func tag(of node: Node) -> String {
    switch node {
    case .scalar(let scalar): scalar.tag.rawValue
    case .sequence(let sequence): sequence.tag.rawValue
    case .mapping(let mapping): mapping.tag.rawValue
    case .alias: ""
    }
  }

  /// Refuses tags of other programs, which would change what a value means.
  private static func check(_ tag: String, _ origin: Origin) throws(ReFTError) {
    guard tag.hasPrefix("!"), tag != "!" else { return }
    throw .foreignTag(origin, tag)
  }
}

extension ConfigurationNode {
  /// Replaces or adds one value, as `--set a.b.0.c=value` asks.
  ///
  /// - Parameter text: the argument of `--set`. Numbers name list items; one past the end appends.
  /// - Returns: the path of keys that was set.
  /// - Throws: `badConfiguration` when the text has no `=`, or a path leads nowhere.
  mutating func apply(override text: String) throws(ReFTError) -> String {
    let origin = Origin.override(text: text)
    guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
      throw .configuration(origin, "expected KEY=VALUE, such as train.learning_rate=1e-3")
    }
    let keys = text[..<equals].split(separator: ".", omittingEmptySubsequences: false).map(
      String.init
    )
    guard !keys.contains("") else {
      throw .configuration(origin, "an empty key in '\(text[..<equals])'; write a.b.0.c=value")
    }
    let valueText = String(text[text.index(after: equals)...])
    var value = ConfigurationNode(content: .scalar("", quoted: false), origin: origin)
    if !valueText.isEmpty {
      do {
        value = try Self.parse(yaml: valueText, path: "--set")
      } catch {
        throw .configuration(origin, "the value is no YAML: \(error.message)")
      }
    }
    try set(value.relocated(to: origin), at: keys[...], origin: origin)
    return keys.joined(separator: ".")
  }

  /// Applies several.
  ///
  /// - Returns: the texts by the keys that they set.
  /// - Throws: as `apply(override:)`, and where two set the same key, or one replaces what an earlier
  ///   one set below it.
  mutating func apply(overrides: [String]) throws(ReFTError) -> [String: String] {
    var earlier: [String: String] = [:]
    for override in overrides {
      let key = try apply(override: override)
      if let below = earlier.keys.sorted().first(where: { $0.hasPrefix(key + ".") }) {
        throw .configuration(
          .override(text: override),
          "it replaces what --set \(earlier[below, default: below]) sets below it; keep one, or give this "
            + "one first"
        )
      }
      if let other = earlier.updateValue(override, forKey: key) {
        throw .configuration(.override(text: override), "--set \(other) sets the same; keep one")
      }
    }
    return earlier
  }

  /// Replaces or adds the value at a path such as `interventions.0.options.rank`.
  ///
  /// - Throws: `badConfiguration` when the path leads nowhere.
  mutating func set(_ value: ConfigurationNode, at path: String) throws(ReFTError) {
    let keys = path.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard !keys.contains("") else {
      throw .configuration(value.origin, "an empty key in '\(path.shown())'; write a.b.0.c")
    }
    try set(value, at: keys[...], origin: value.origin)
  }

  private func relocated(to origin: Origin) -> ConfigurationNode {
    var copy = self
    copy.origin = origin
    switch content {
    case .scalar: break
    case .sequence(let items): copy.content = .sequence(items.map { $0.relocated(to: origin) })
    case .mapping(let entries):
      copy.content = .mapping(
        entries.map {
          Entry(key: $0.key, keyOrigin: origin, value: $0.value.relocated(to: origin))
        }
      )
    }
    return copy
  }

  private mutating func set(
    _ value: ConfigurationNode,
    at keys: ArraySlice<String>,
    origin: Origin
  ) throws(ReFTError) {
    guard let key = keys.first else {
      self = value
      return
    }
    let rest = keys.dropFirst()
    switch content {
    case .mapping(var entries):
      if let index = entries.firstIndex(where: { $0.key == key }) {
        try entries[index].value.set(value, at: rest, origin: origin)
      } else {
        var fresh = ConfigurationNode(content: .scalar("", quoted: false), origin: origin)
        try fresh.set(value, at: rest, origin: origin)
        entries.append(Entry(key: key, keyOrigin: origin, value: fresh))
      }
      content = .mapping(entries)
    case .sequence(var items):
      guard let index = Int(key), index >= 0, index <= items.count else {
        throw .configuration(
          origin,
          "'\(key)' names no item of a list of \(items.count); expected 0...\(items.count)"
        )
      }
      if index == items.count {
        items.append(ConfigurationNode(content: .scalar("", quoted: false), origin: origin))
      }
      try items[index].set(value, at: rest, origin: origin)
      content = .sequence(items)
    case .scalar:
      guard isNull else {
        throw .configuration(
          origin,
          "'\(key)' leads into \(found), which has no keys; set the value above it"
        )
      }
      content = key == "0" ? .sequence([]) : .mapping([])
      try set(value, at: keys, origin: origin)
    }
  }
}
