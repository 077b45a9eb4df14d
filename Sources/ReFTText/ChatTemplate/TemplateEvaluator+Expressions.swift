// SPDX-License-Identifier: Apache-2.0
// Evaluates expressions: names, lists, items and slices. Operators are in
// TemplateEvaluator+Operators.swift, calls in TemplateEvaluator+Calls.swift.

extension TemplateEvaluator {
  /// Computes the value of an expression.
  func evaluate(_ expression: TemplateExpression) throws(TemplateFault) -> TemplateValue {
    let before = line
    try enter(expression.line)
    defer { leave(before) }
    switch expression.kind {
    case .value(let value): return value
    case .name(let name): return try variable(name) ?? .undefined(name)
    case .list(let items, let isTuple): return try list(try evaluate(items), isTuple: isTuple)
    case .map(let entries): return try map(entries)
    case .attribute(let base, let name): return try attribute(name, of: try evaluate(base))
    case .item(let base, let key):
      let base = try evaluate(base)
      return try item(try evaluate(key), of: base)
    case .slice(let base, let bounds): return try slice(try evaluate(base), bounds)
    case .call: return try evaluateCall(expression, caller: nil)
    case .filter(let base, let filter):
      let base = try evaluate(base)
      return try self.filter(filter.name, base, try evaluate(filter.arguments))
    case .test(let base, let test, let isNegated):
      let value = try evaluate(base)
      let isTrue = try self.test(test.name, value, try evaluate(test.arguments).positional)
      return .bool(isTrue != isNegated)
    case .unary(let symbol, let operand): return try unary(symbol, try evaluate(operand))
    case .operation(let first, let rest): return try operation(first, rest)
    case .comparison(let left, let pairs): return try comparison(left, pairs)
    case .conditional(let value, let condition, let otherwise):
      if try evaluate(condition).isTrue { return try evaluate(value) }
      guard let otherwise else { return .undefined("the value of an if without else") }
      return try evaluate(otherwise)
    }
  }

  private func evaluate(
    _ items: [TemplateExpression]
  ) throws(TemplateFault) -> [TemplateValue] {
    try charge(items.count, times: TemplateLimits.itemCost)
    var values: [TemplateValue] = []
    for item in items { values.append(try evaluate(item)) }
    return values
  }

  /// Computes the arguments of a call.
  func evaluate(_ arguments: TemplateArguments) throws(TemplateFault) -> TemplateCallValues {
    var values = TemplateCallValues(positional: try evaluate(arguments.positional))
    try charge(arguments.named.count, times: TemplateLimits.entryCost)
    for argument in arguments.named {
      values.named.append(.init(argument.name, try evaluate(argument.value)))
    }
    return values
  }

  // MARK: Lists and dictionaries

  /// A list of values whose memory is paid for.
  func list(
    _ items: [TemplateValue],
    isTuple: Bool = false
  ) throws(TemplateFault) -> TemplateValue {
    let list = TemplateList(items, isTuple: isTuple)
    try checkDepth(list.depth)
    return .list(list)
  }

  /// A dictionary of entries whose memory is paid for.
  func map(_ entries: [TemplateMap.Entry]) throws(TemplateFault) -> TemplateValue {
    let map = TemplateMap(entries)
    try checkDepth(map.depth)
    return .map(map)
  }

  private func checkDepth(_ depth: Int) throws(TemplateFault) {
    guard depth <= TemplateLimits.deepestValue else {
      throw fault("a value nests deeper than \(TemplateLimits.deepestValue)")
    }
  }

  private func map(
    _ expressions: [(key: TemplateExpression, value: TemplateExpression)]
  ) throws(TemplateFault) -> TemplateValue {
    var entries: [TemplateMap.Entry] = []
    for expression in expressions {
      let key = try evaluate(expression.key)
      guard case .string(let name) = key else {
        throw fault("\(key.kindName) is a key; use strings as keys")
      }
      try set(name, try evaluate(expression.value), in: &entries)
    }
    return try map(entries)
  }

  /// Sets an entry, at its old place where the key is there already.
  func set(
    _ key: String,
    _ value: TemplateValue,
    in entries: inout [TemplateMap.Entry]
  ) throws(TemplateFault) {
    try charge(entries.count, times: 2)
    if let index = entries.firstIndex(where: { $0.key.isSame(as: key) }) {
      entries[index].value = value
    } else {
      try charge(1, times: TemplateLimits.entryCost)
      entries.append(.init(key, value))
    }
  }

  /// What a loop over a value visits: items, keys, or the characters of a text.
  func items(of value: TemplateValue) throws(TemplateFault) -> [TemplateValue] {
    switch value {
    case .list(let list): return list.items
    case .map(let map):
      try charge(map.entries.count, times: TemplateLimits.itemCost)
      return map.entries.map { .string($0.key) }
    case .string(let text):
      try charge(text.utf8.count, times: TemplateLimits.itemCost)
      return text.unicodeScalars.map { .string(String(Character($0))) }
    case .loop(let state): return state.items.items
    case .undefined: return []
    default: throw fault("\(value.kindName) has no items")
    }
  }

  // MARK: Items

  /// A field of a value; undefined where there is none.
  func attribute(_ name: String, of base: TemplateValue) throws(TemplateFault) -> TemplateValue {
    let fields: [TemplateMap.Entry]
    switch base {
    case .map(let map): fields = map.entries
    case .namespace(let number): fields = namespaces[number]
    case .loop(let state): return state.field(name) ?? .undefined("loop.\(name)")
    case .macro(let number) where name == "name": return .string(macros[number].declaration.name)
    case .undefined(let owner): throw fault("'\(owner)' is undefined and has no '\(name)'")
    default: return .undefined(name)
    }
    try charge(fields.count, times: 2)
    return fields.first { $0.key.isSame(as: name) }?.value ?? .undefined(name)
  }

  /// The item of a list, a text or a dictionary; undefined where there is none.
  func item(
    _ key: TemplateValue,
    of base: TemplateValue
  ) throws(TemplateFault) -> TemplateValue {
    if case .string(let name) = key { return try attribute(name, of: base) }
    let number = key.wholeNumber
    switch base {
    case .list(let list):
      guard let number else { return .undefined("the item") }
      let index = number < 0 ? number &+ list.items.count : number
      return list.items.indices.contains(index) ? list.items[index] : .undefined("item \(number)")
    case .string(let text):
      guard let number else { return .undefined("the item") }
      try charge(text.utf8.count)
      let scalars = text.unicodeScalars
      let index = number < 0 ? number &+ scalars.count : number
      guard index >= 0,
        let place = scalars.index(scalars.startIndex, offsetBy: index, limitedBy: scalars.endIndex),
        place < scalars.endIndex
      else { return .undefined("item \(number)") }
      return .string(String(Character(scalars[place])))
    case .undefined(let owner): throw fault("'\(owner)' is undefined and has no items")
    default: return .undefined("the item")
    }
  }

  private func slice(
    _ base: TemplateValue,
    _ bounds: [TemplateExpression?]
  ) throws(TemplateFault) -> TemplateValue {
    var numbers: [Int?] = []
    for bound in bounds {
      guard let bound else {
        numbers.append(nil)
        continue
      }
      let value = try evaluate(bound)
      if value.wholeNumber == nil {
        guard case .none = value else { throw fault("\(value.kindName) is no bound of a slice") }
      }
      numbers.append(value.wholeNumber)
    }
    let step = numbers.count > 2 ? numbers[2] ?? 1 : 1
    guard step != 0 else { throw fault("the step of a slice is 0") }
    switch base {
    case .list(let list):
      try charge(list.items.count, times: TemplateLimits.itemCost)
      let indices = Self.indices(numbers[0], numbers[1], step: step, count: list.items.count)
      return try self.list(indices.map { list.items[$0] }, isTuple: list.isTuple)
    case .string(let text):
      try charge(text.utf8.count, times: TemplateLimits.characterCost)
      let scalars = Array(text.unicodeScalars)
      let indices = Self.indices(numbers[0], numbers[1], step: step, count: scalars.count)
      var part = String.UnicodeScalarView()
      for index in indices { part.append(scalars[index]) }
      return .string(String(part))
    case .undefined(let owner): throw fault("'\(owner)' is undefined and has no items")
    default: throw fault("\(base.kindName) cannot be sliced")
    }
  }

  /// The indices of a Python slice.
  private static func indices(
    _ start: Int?,
    _ end: Int?,
    step: Int,
    count: Int
  ) -> StrideTo<Int> {
    let lowest = step > 0 ? 0 : -1
    let highest = step > 0 ? count : count - 1
    func clamped(_ bound: Int?, _ standard: Int) -> Int {
      guard let bound else { return standard }
      return min(max(bound < 0 ? bound &+ count : bound, lowest), highest)
    }
    // A step beyond the list's length visits one item, as the length itself does.
    let step = min(max(step, -count - 1), count + 1)
    return step > 0
      ? stride(from: clamped(start, lowest), to: clamped(end, highest), by: step)
      : stride(from: clamped(start, highest), to: clamped(end, lowest), by: step)
  }
}
