// SPDX-License-Identifier: Apache-2.0
// The operators, as Python has them; a number that leaves its range is an error.

import Foundation

extension TemplateEvaluator {
  /// Applies a sign or `not`.
  func unary(_ symbol: String, _ value: TemplateValue) throws(TemplateFault) -> TemplateValue {
    if symbol == "not" { return .bool(!value.isTrue) }
    if let number = value.wholeNumber {
      return symbol == "-" ? try checked(0.subtractingReportingOverflow(number)) : .int(number)
    }
    if case .double(let number) = value { return .double(symbol == "-" ? -number : number) }
    throw fault("'\(symbol)' cannot be applied to \(value.kindName)")
  }

  /// Applies operators of one precedence from left to right.
  func operation(
    _ first: TemplateExpression,
    _ rest: [(symbol: String, right: TemplateExpression)]
  ) throws(TemplateFault) -> TemplateValue {
    var left = try evaluate(first)
    for (symbol, right) in rest {
      switch symbol {
      case "and": if left.isTrue { left = try evaluate(right) }
      case "or": if !left.isTrue { left = try evaluate(right) }
      default: left = try binary(symbol, left, try evaluate(right))
      }
    }
    return left
  }

  private func binary(
    _ symbol: String,
    _ left: TemplateValue,
    _ right: TemplateValue
  ) throws(TemplateFault) -> TemplateValue {
    switch (symbol, left, right) {
    case ("~", _, _): return try joined(try text(of: left), try text(of: right))
    case ("+", .string(let first), .string(let second)): return try joined(first, second)
    case ("+", .list(let first), .list(let second)) where first.isTuple == second.isTuple:
      try charge(first.items.count, times: TemplateLimits.itemCost)
      try charge(second.items.count, times: TemplateLimits.itemCost)
      return try list(first.items + second.items, isTuple: first.isTuple)
    case ("%", .string(let text), _): return .string(try percentFormat(text, right))
    case ("*", .string(let text), _) where right.wholeNumber != nil:
      return .string(try repeated(text, right.wholeNumber ?? 0))
    case ("*", _, .string(let text)) where left.wholeNumber != nil:
      return .string(try repeated(text, left.wholeNumber ?? 0))
    case ("*", .list(let part), _) where right.wholeNumber != nil:
      return try repeated(part, right.wholeNumber ?? 0)
    case ("*", _, .list(let part)) where left.wholeNumber != nil:
      return try repeated(part, left.wholeNumber ?? 0)
    default: return try arithmetic(symbol, left, right)
    }
  }

  private func joined(_ first: String, _ second: String) throws(TemplateFault) -> TemplateValue {
    try charge(first.utf8.count)
    try charge(second.utf8.count)
    return .string(first + second)
  }

  /// A text, so many times.
  func repeated(_ text: String, _ count: Int) throws(TemplateFault) -> String {
    let count = text.isEmpty ? 0 : max(0, count)
    try charge(count, times: text.utf8.count)
    return String(repeating: text, count: count)
  }

  private func repeated(
    _ part: TemplateList,
    _ count: Int
  ) throws(TemplateFault) -> TemplateValue {
    let count = part.items.isEmpty ? 0 : max(0, count)
    let cost = part.items.count.multipliedReportingOverflow(by: TemplateLimits.itemCost)
    try charge(count, times: cost.overflow ? Int.max : cost.partialValue)
    let items = repeatElement(part.items, count: count).flatMap { $0 }
    return try list(items, isTuple: part.isTuple)
  }

  // MARK: Numbers

  private func checked(
    _ result: (partialValue: Int, overflow: Bool)
  ) throws(TemplateFault) -> TemplateValue {
    guard !result.overflow else { throw fault("a number is too large") }
    return .int(result.partialValue)
  }

  private func arithmetic(
    _ symbol: String,
    _ left: TemplateValue,
    _ right: TemplateValue
  ) throws(TemplateFault) -> TemplateValue {
    guard let first = left.number, let second = right.number else {
      throw fault("'\(symbol)' cannot be applied to \(left.kindName) and \(right.kindName)")
    }
    if ["/", "//", "%"].contains(symbol), second == 0 { throw fault("division by zero") }
    if symbol != "/", let first = left.wholeNumber, let second = right.wholeNumber {
      return try wholeArithmetic(symbol, first, second)
    }
    switch symbol {
    case "+": return .double(first + second)
    case "-": return .double(first - second)
    case "*": return .double(first * second)
    case "/": return .double(first / second)
    case "**": return .double(try power(first, second))
    default:
      var rest = first.truncatingRemainder(dividingBy: second)
      if rest != 0, (rest < 0) != (second < 0) { rest += second }
      return .double(symbol == "%" ? rest : ((first - rest) / second).rounded(.down))
    }
  }

  private func wholeArithmetic(
    _ symbol: String,
    _ first: Int,
    _ second: Int
  ) throws(TemplateFault) -> TemplateValue {
    switch symbol {
    case "+": return try checked(first.addingReportingOverflow(second))
    case "-": return try checked(first.subtractingReportingOverflow(second))
    case "*": return try checked(first.multipliedReportingOverflow(by: second))
    case "**":
      guard second >= 0 else { return .double(try power(Double(first), Double(second))) }
      return try wholePower(first, second)
    default:
      let quotient = first.dividedReportingOverflow(by: second)
      let remainder = first.remainderReportingOverflow(dividingBy: second).partialValue
      // Python rounds down, Swift towards zero.
      let isRoundedUp = remainder != 0 && (remainder < 0) != (second < 0)
      if symbol == "%" { return .int(isRoundedUp ? remainder &+ second : remainder) }
      guard !quotient.overflow else { throw fault("a number is too large") }
      return try checked(quotient.partialValue.subtractingReportingOverflow(isRoundedUp ? 1 : 0))
    }
  }

  private func wholePower(_ base: Int, _ exponent: Int) throws(TemplateFault) -> TemplateValue {
    if base == 0 || base == 1 || exponent == 0 { return .int(exponent == 0 ? 1 : base) }
    if base == -1 { return .int(exponent.isMultiple(of: 2) ? 1 : -1) }
    guard exponent < Int.bitWidth else { throw fault("a number is too large") }
    var result = 1
    for _ in 0..<exponent {
      let next = result.multipliedReportingOverflow(by: base)
      guard !next.overflow else { throw fault("a number is too large") }
      result = next.partialValue
    }
    return .int(result)
  }

  private func power(_ base: Double, _ exponent: Double) throws(TemplateFault) -> Double {
    if base == 0, exponent < 0 { throw fault("division by zero") }
    let result = pow(base, exponent)
    if result.isInfinite, base.isFinite, exponent.isFinite { throw fault("a number is too large") }
    if result.isNaN, !base.isNaN, !exponent.isNaN {
      throw fault("'**' has no real result for these numbers")
    }
    return result
  }
}
