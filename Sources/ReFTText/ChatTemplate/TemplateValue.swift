// SPDX-License-Identifier: Apache-2.0
// The values that templates compute with. How they print is in TemplateEvaluator+Text.swift, how they
// compare in TemplateEvaluator+Comparison.swift: both touch as much as the values hold, and pay for it.

/// A value of the template language.
enum TemplateValue: Sendable {
  case undefined(String)
  case none
  case bool(Bool)
  case int(Int)
  case double(Double)
  case string(String)
  case list(TemplateList)
  case map(TemplateMap)
  /// The fields of a namespace, by the number of the namespace.
  case namespace(Int)
  /// A macro, by its number.
  case macro(Int)
  /// The variable `loop`.
  case loop(TemplateLoopState)

  /// How many lists and dictionaries lie inside of each other, this one included.
  var depth: Int {
    switch self {
    case .list(let list): list.depth
    case .map(let map): map.depth
    case .loop(let state): state.items.depth + 1
    default: 0
    }
  }

  /// Whether the value counts as true in a condition.
  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let value): value
    case .int(let value): value != 0
    case .double(let value): value != 0
    case .string(let value): !value.isEmpty
    case .list(let list): !list.items.isEmpty
    case .map(let map): !map.entries.isEmpty
    case .namespace, .macro, .loop: true
    }
  }

  /// What kind of value it is, for messages.
  var kindName: String {
    switch self {
    case .undefined(let name): "the undefined '\(name)'"
    case .none: "none"
    case .bool: "a truth value"
    case .int, .double: "a number"
    case .string: "a string"
    case .list: "a list"
    case .map: "a dictionary"
    case .namespace: "a namespace"
    case .macro: "a macro"
    case .loop: "the variable 'loop'"
    }
  }

  /// Whether there is no value.
  var isUndefined: Bool { if case .undefined = self { true } else { false } }

  /// The value as a number, truth values being 0 and 1.
  var number: Double? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): Double(value)
    case .double(let value): value
    default: nil
    }
  }

  /// The value as a whole number, truth values being 0 and 1.
  var wholeNumber: Int? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): value
    default: nil
    }
  }
}

/// A list or a tuple.
final class TemplateList: Sendable {
  let items: [TemplateValue]
  let isTuple: Bool
  let depth: Int

  init(_ items: [TemplateValue], isTuple: Bool = false) {
    self.items = items
    self.isTuple = isTuple
    depth = 1 + (items.lazy.map(\.depth).max() ?? 0)
  }
}

/// A dictionary with strings as keys, in the order in which they were set.
final class TemplateMap: Sendable {
  /// A key and its value.
  struct Entry: Sendable {
    var key: String
    var value: TemplateValue

    init(_ key: String, _ value: TemplateValue) {
      self.key = key
      self.value = value
    }
  }

  let entries: [Entry]
  let depth: Int

  init(_ entries: [Entry]) {
    self.entries = entries
    depth = 1 + (entries.lazy.map(\.value.depth).max() ?? 0)
  }
}

/// Where a loop stands.
final class TemplateLoopState: Sendable {
  let items: TemplateList
  let index: Int

  init(items: TemplateList, index: Int) {
    self.items = items
    self.index = index
  }

  /// A field of the variable `loop`.
  func field(_ name: String) -> TemplateValue? {
    let (items, last) = (items.items, items.items.count - 1)
    return switch name {
    case "index": .int(index + 1)
    case "index0": .int(index)
    case "revindex": .int(items.count - index)
    case "revindex0": .int(last - index)
    case "first": .bool(index == 0)
    case "last": .bool(index == last)
    case "length": .int(items.count)
    // These count the levels of recursive loops, which are not supported.
    case "depth": .int(1)
    case "depth0": .int(0)
    case "previtem": index > 0 ? items[index - 1] : .undefined("loop.previtem")
    case "nextitem": index < last ? items[index + 1] : .undefined("loop.nextitem")
    default: nil
    }
  }
}

extension String {
  /// Whether both texts have the same scalars: canonical equivalence is not enough.
  func isSame(as other: String) -> Bool {
    utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
  }
}
