// SPDX-License-Identifier: Apache-2.0
// How values compare, and sorting by it. Texts compare by their scalars, as in Python.

extension TemplateEvaluator {
  /// Whether every neighbouring pair of a chain of comparisons holds.
  func comparison(
    _ first: TemplateExpression,
    _ pairs: [(symbol: String, right: TemplateExpression)]
  ) throws(TemplateFault) -> TemplateValue {
    var left = try evaluate(first)
    for pair in pairs {
      let right = try evaluate(pair.right)
      guard try compare(pair.symbol, left, right) else { return .bool(false) }
      left = right
    }
    return .bool(true)
  }

  /// Whether a comparison holds.
  func compare(
    _ symbol: String,
    _ left: TemplateValue,
    _ right: TemplateValue
  ) throws(TemplateFault) -> Bool {
    switch symbol {
    case "==": return try equal(left, right)
    case "!=": return try !equal(left, right)
    case "in": return try contains(right, left)
    case "not in": return try !contains(right, left)
    case "<": return try isLess(left, right, symbol)
    case ">": return try isLess(right, left, symbol)
    case "<=":
      if try isLess(left, right, symbol) { return true }
      return try equal(left, right)
    default:
      if try isLess(right, left, symbol) { return true }
      return try equal(left, right)
    }
  }

  /// Whether both are the same value.
  func equal(_ left: TemplateValue, _ right: TemplateValue) throws(TemplateFault) -> Bool {
    try charge(1, times: TemplateLimits.characterCost)
    switch (left, right) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.string(let first), .string(let second)):
      guard first.utf8.count == second.utf8.count else { return false }
      try charge(first.utf8.count)
      return first.isSame(as: second)
    case (.list(let first), .list(let second)):
      guard first.items.count == second.items.count, first.isTuple == second.isTuple else {
        return false
      }
      for (first, second) in zip(first.items, second.items) {
        guard try equal(first, second) else { return false }
      }
      return true
    case (.map(let first), .map(let second)):
      guard first.entries.count == second.entries.count else { return false }
      for entry in first.entries {
        try charge(second.entries.count, times: 2)
        guard let other = second.entries.first(where: { $0.key.isSame(as: entry.key) }),
          try equal(entry.value, other.value)
        else { return false }
      }
      return true
    case (.namespace(let first), .namespace(let second)): return first == second
    case (.macro(let first), .macro(let second)): return first == second
    default:
      if let first = left.wholeNumber, let second = right.wholeNumber { return first == second }
      guard let first = left.number, let second = right.number else { return false }
      return first == second
    }
  }

  private func isLess(
    _ left: TemplateValue,
    _ right: TemplateValue,
    _ symbol: String
  ) throws(TemplateFault) -> Bool {
    try charge(1, times: TemplateLimits.characterCost)
    if let first = left.wholeNumber, let second = right.wholeNumber { return first < second }
    if let first = left.number, let second = right.number { return first < second }
    if case .string(let first) = left, case .string(let second) = right {
      try charge(min(first.utf8.count, second.utf8.count))
      // The order of UTF-8 is that of the scalars.
      return first.utf8.lexicographicallyPrecedes(second.utf8)
    }
    if case .list(let first) = left, case .list(let second) = right {
      for (first, second) in zip(first.items, second.items) {
        if try !equal(first, second) { return try isLess(first, second, symbol) }
      }
      return first.items.count < second.items.count
    }
    throw fault("'\(symbol)' cannot compare \(left.kindName) and \(right.kindName)")
  }

  private func contains(
    _ container: TemplateValue,
    _ value: TemplateValue
  ) throws(TemplateFault) -> Bool {
    switch container {
    case .string(let text):
      guard case .string(let part) = value else {
        throw fault("\(value.kindName) cannot be in a string")
      }
      return try firstOccurrence(of: part, in: text) != nil
    case .map(let map):
      guard case .string(let key) = value else { return false }
      try charge(map.entries.count, times: 2)
      return map.entries.contains { $0.key.isSame(as: key) }
    default:
      for item in try items(of: container) {
        if try equal(item, value) { return true }
      }
      return false
    }
  }

  /// Sorts items by their keys; those with equal keys keep their order.
  func sorted(
    _ pairs: [(key: TemplateValue, item: TemplateValue)],
    isReversed: Bool
  ) throws(TemplateFault) -> [TemplateValue] {
    var from = pairs
    var width = 1
    while width < from.count {
      try charge(from.count, times: 2 * TemplateLimits.itemCost)
      var merged: [(key: TemplateValue, item: TemplateValue)] = []
      merged.reserveCapacity(from.count)
      for start in stride(from: 0, to: from.count, by: 2 * width) {
        let (middle, end) = (min(start + width, from.count), min(start + 2 * width, from.count))
        var (left, right) = (start, middle)
        while left < middle, right < end {
          let isRightFirst =
            isReversed
            ? try isLess(from[left].key, from[right].key, "<")
            : try isLess(from[right].key, from[left].key, "<")
          merged.append(from[isRightFirst ? right : left])
          if isRightFirst { right += 1 } else { left += 1 }
        }
        merged += from[left..<middle]
        merged += from[right..<end]
      }
      from = merged
      width *= 2
    }
    return from.map(\.item)
  }
}
