// SPDX-License-Identifier: Apache-2.0
// Evaluates expressions: names, operators, items and slices. Functions, methods, filters and tests
// are in TemplateEvaluator+Calls.swift.

extension TemplateEvaluator {
  /// Computes the value of an expression.
  mutating func evaluate(
    _ expression: TemplateExpression
  ) throws(TemplateFault) -> TemplateValue {
    let line = expression.line
    try enter(line: line)
    defer { depth -= 1 }
    switch expression.kind {
    case .value(let value): return value
    case .name(let name): return variable(name) ?? .undefined(name)
    case .list(let items): return .list(try evaluate(items))
    case .map(let entries): return try map(entries, line: line)
    case .attribute(let base, let name):
      return try attribute(name, of: try evaluate(base), line: line)
    case .item(let base, let key):
      return try item(try evaluate(key), of: try evaluate(base), line: line)
    case .slice(let base, let bounds): return try slice(try evaluate(base), bounds, line: line)
    case .call(let callee, let arguments): return try call(callee, arguments, line: line)
    case .filter(let base, let name, let arguments):
      let values = try evaluate(arguments)
      // `default` alone may look at an undefined variable; all others get their value first.
      return try filter(name, try evaluate(base), values, line: line)
    case .test(let base, let name, let arguments, let isNegated):
      let value = try evaluate(base)
      let isTrue = try test(name, value, try evaluate(arguments).positional, line: line)
      return .bool(isTrue != isNegated)
    case .unary(let symbol, let operand): return try unary(symbol, operand, line: line)
    case .binary(let symbol, let left, let right):
      return try binary(symbol, left, right, line: line)
    case .comparison(let left, let pairs): return try comparison(left, pairs, line: line)
    case .conditional(let value, let condition, let otherwise):
      if try evaluate(condition).isTrue { return try evaluate(value) }
      guard let otherwise else { return .undefined("the value of an if without else") }
      return try evaluate(otherwise)
    }
  }

  private mutating func evaluate(
    _ items: [TemplateExpression]
  ) throws(TemplateFault) -> [TemplateValue] {
    var values: [TemplateValue] = []
    for item in items { values.append(try evaluate(item)) }
    return values
  }

  /// Computes the arguments of a call.
  mutating func evaluate(
    _ arguments: TemplateArguments
  ) throws(TemplateFault) -> TemplateCallValues {
    var values = TemplateCallValues(positional: try evaluate(arguments.positional))
    for argument in arguments.named {
      values.named.append(.init(argument.name, try evaluate(argument.value)))
    }
    return values
  }

  private mutating func map(
    _ entries: [(key: TemplateExpression, value: TemplateExpression)],
    line: Int
  ) throws(TemplateFault) -> TemplateValue {
    var map: [TemplateValue.Entry] = []
    for entry in entries {
      let key = try evaluate(entry.key)
      guard case .string(let name) = key else {
        throw TemplateFault(line: line, message: "\(key.kindName) is a key; use strings as keys")
      }
      let value = try evaluate(entry.value)
      map.removeAll { $0.key.isSame(as: name) }
      map.append(.init(name, value))
    }
    return .map(map)
  }

  // MARK: Items

  private func attribute(
    _ name: String,
    of base: TemplateValue,
    line: Int
  ) throws(TemplateFault) -> TemplateValue {
    let fields: [TemplateValue.Entry]
    switch base {
    case .map(let entries): fields = entries
    case .namespace(let number): fields = namespaces[number]
    case .undefined(let owner):
      throw TemplateFault(line: line, message: "'\(owner)' is undefined and has no '\(name)'")
    default: fields = []
    }
    return fields.first { $0.key.isSame(as: name) }?.value ?? .undefined(name)
  }

  /// The item of a list, a text or a dictionary; undefined where there is none.
  func item(
    _ key: TemplateValue,
    of base: TemplateValue,
    line: Int
  ) throws(TemplateFault) -> TemplateValue {
    if case .string(let name) = key { return try attribute(name, of: base, line: line) }
    let items: [TemplateValue]
    switch base {
    case .list(let values): items = values
    case .string: items = try self.items(of: base, line: line)
    case .undefined(let owner):
      throw TemplateFault(line: line, message: "'\(owner)' is undefined and has no items")
    default: return .undefined("item \(key.text)")
    }
    guard let number = key.wholeNumber else { return .undefined("item \(key.text)") }
    let index = number < 0 ? number &+ items.count : number
    return items.indices.contains(index) ? items[index] : .undefined("item \(number)")
  }

  private mutating func slice(
    _ base: TemplateValue,
    _ bounds: [TemplateExpression?],
    line: Int
  ) throws(TemplateFault) -> TemplateValue {
    var numbers: [Int?] = []
    for bound in bounds {
      guard let bound else {
        numbers.append(nil)
        continue
      }
      let value = try evaluate(bound)
      guard let number = value.wholeNumber else {
        guard case .none = value else {
          throw TemplateFault(line: line, message: "\(value.kindName) is no bound of a slice")
        }
        numbers.append(nil)
        continue
      }
      numbers.append(number)
    }
    let step = numbers.count > 2 ? numbers[2] ?? 1 : 1
    guard step != 0 else { throw TemplateFault(line: line, message: "the step of a slice is 0") }
    guard numbers.count > 1 else { return base }
    let items = try items(of: base, line: line)
    let indices = Self.indices(numbers[0], numbers[1], step: step, count: items.count)
    let part = indices.map { items[$0] }
    if case .string = base { return .string(part.map(\.text).joined()) }
    return .list(part)
  }

  /// The indices of a Python slice.
  private static func indices(_ start: Int?, _ end: Int?, step: Int, count: Int) -> [Int] {
    let lowest = step > 0 ? 0 : -1
    let highest = step > 0 ? count : count - 1
    func clamped(_ bound: Int?, _ standard: Int) -> Int {
      guard let bound else { return standard }
      return min(max(bound < 0 ? bound &+ count : bound, lowest), highest)
    }
    // A step beyond the list's length visits one item, as the length itself does.
    let step = min(max(step, -count - 1), count + 1)
    return step > 0
      ? Array(stride(from: clamped(start, lowest), to: clamped(end, highest), by: step))
      : Array(stride(from: clamped(start, highest), to: clamped(end, lowest), by: step))
  }

  // MARK: Operators

  private mutating func unary(
    _ symbol: String,
    _ operand: TemplateExpression,
    line: Int
  ) throws(TemplateFault) -> TemplateValue {
    let value = try evaluate(operand)
    if symbol == "not" { return .bool(!value.isTrue) }
    if let number = value.wholeNumber { return .int(symbol == "-" ? 0 &- number : number) }
    if case .double(let number) = value { return .double(symbol == "-" ? -number : number) }
    throw TemplateFault(line: line, message: "'\(symbol)' cannot be applied to \(value.kindName)")
  }

  private mutating func binary(
    _ symbol: String,
    _ leftSide: TemplateExpression,
    _ rightSide: TemplateExpression,
    line: Int
  ) throws(TemplateFault) -> TemplateValue {
    let left = try evaluate(leftSide)
    if symbol == "and" { return left.isTrue ? try evaluate(rightSide) : left }
    if symbol == "or" { return left.isTrue ? left : try evaluate(rightSide) }
    let right = try evaluate(rightSide)
    switch (symbol, left, right) {
    case ("~", _, _): return .string(try checkedLength(left.text + right.text, line: line))
    case ("+", .string(let first), .string(let second)):
      return .string(try checkedLength(first + second, line: line))
    case ("+", .list(let first), .list(let second)):
      guard first.count + second.count <= 1_000_000 else {
        throw TemplateFault(line: line, message: "a list grows beyond 1000000 items")
      }
      return .list(first + second)
    default: return try arithmetic(symbol, left, right, line: line)
    }
  }

  private func arithmetic(
    _ symbol: String,
    _ left: TemplateValue,
    _ right: TemplateValue,
    line: Int
  ) throws(TemplateFault) -> TemplateValue {
    guard let first = left.number, let second = right.number else {
      throw TemplateFault(
        line: line,
        message: "'\(symbol)' cannot be applied to \(left.kindName) and \(right.kindName)"
      )
    }
    if ["/", "//", "%"].contains(symbol), second == 0 {
      throw TemplateFault(line: line, message: "division by zero")
    }
    if symbol != "/", let first = left.wholeNumber, let second = right.wholeNumber {
      return .int(try wholeArithmetic(symbol, first, second, line: line))
    }
    switch symbol {
    case "+": return .double(first + second)
    case "-": return .double(first - second)
    case "*": return .double(first * second)
    case "/": return .double(first / second)
    case "//": return .double((first / second).rounded(.down))
    default: return .double(first - (first / second).rounded(.down) * second)
    }
  }

  private func wholeArithmetic(
    _ symbol: String,
    _ first: Int,
    _ second: Int,
    line: Int
  ) throws(TemplateFault) -> Int {
    let result: (partialValue: Int, overflow: Bool)
    switch symbol {
    case "+": result = first.addingReportingOverflow(second)
    case "-": result = first.subtractingReportingOverflow(second)
    case "*": result = first.multipliedReportingOverflow(by: second)
    default:
      let quotient = first.dividedReportingOverflow(by: second)
      let remainder = first.remainderReportingOverflow(dividingBy: second).partialValue
      // Python rounds down, Swift towards zero.
      let isRoundedUp = remainder != 0 && (remainder < 0) != (second < 0)
      if symbol == "//" {
        result = (quotient.partialValue - (isRoundedUp ? 1 : 0), quotient.overflow)
      } else {
        result = (isRoundedUp ? remainder + second : remainder, false)
      }
    }
    guard !result.overflow else {
      throw TemplateFault(line: line, message: "a number is too large")
    }
    return result.partialValue
  }

  private mutating func comparison(
    _ first: TemplateExpression,
    _ pairs: [(symbol: String, right: TemplateExpression)],
    line: Int
  ) throws(TemplateFault) -> TemplateValue {
    var left = try evaluate(first)
    for pair in pairs {
      let right = try evaluate(pair.right)
      guard try compare(pair.symbol, left, right, line: line) else { return .bool(false) }
      left = right
    }
    return .bool(true)
  }

  /// Whether a comparison holds.
  func compare(
    _ symbol: String,
    _ left: TemplateValue,
    _ right: TemplateValue,
    line: Int
  ) throws(TemplateFault) -> Bool {
    switch symbol {
    case "==": return left.equals(right)
    case "!=": return !left.equals(right)
    case "in": return try contains(right, left, line: line)
    case "not in": return !(try contains(right, left, line: line))
    default: break
    }
    let order: (isLess: Bool, isEqual: Bool)
    if let first = left.number, let second = right.number {
      order = (first < second, first == second)
    } else if case .string(let first) = left, case .string(let second) = right {
      // The order of UTF-8 is that of the scalars.
      order = (first.utf8.lexicographicallyPrecedes(second.utf8), first.isSame(as: second))
    } else {
      throw TemplateFault(
        line: line,
        message: "'\(symbol)' cannot compare \(left.kindName) and \(right.kindName)"
      )
    }
    switch symbol {
    case "<": return order.isLess
    case "<=": return order.isLess || order.isEqual
    case ">": return !order.isLess && !order.isEqual
    default: return !order.isLess
    }
  }

  private func contains(
    _ container: TemplateValue,
    _ value: TemplateValue,
    line: Int
  ) throws(TemplateFault) -> Bool {
    if case .string(let text) = container {
      guard case .string(let part) = value else {
        throw TemplateFault(line: line, message: "\(value.kindName) cannot be in a string")
      }
      return text.firstOccurrence(of: part) != nil
    }
    return try items(of: container, line: line).contains { $0.equals(value) }
  }
}
