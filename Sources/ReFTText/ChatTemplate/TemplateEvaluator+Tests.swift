// SPDX-License-Identifier: Apache-2.0
// What templates may ask of a value with `is`.

extension TemplateEvaluator {
  private static let comparisons = [
    "eq": "==", "equalto": "==", "==": "==", "ne": "!=", "!=": "!=", "in": "in", "lt": "<",
    "lessthan": "<", "<": "<", "le": "<=", "<=": "<=", "gt": ">", "greaterthan": ">", ">": ">",
    "ge": ">=", ">=": ">=",
  ]

  /// Whether a value passes a test.
  func test(
    _ name: String,
    _ value: TemplateValue,
    _ arguments: [TemplateValue]
  ) throws(TemplateFault) -> Bool {
    if let isKind = Self.isKind(name, value) { return isKind }
    if let symbol = Self.comparisons[name] {
      guard arguments.count == 1 else { throw fault("the test '\(name)' takes one value") }
      return try compare(symbol, value, arguments[0])
    }
    switch name {
    case "sameas":
      guard arguments.count == 1 else { throw fault("the test 'sameas' takes one value") }
      let isEqual = try equal(value, arguments[0])
      return isEqual && value.kindName == arguments[0].kindName
    case "upper", "lower":
      let text = try text(of: value)
      try charge(text.utf8.count, times: TemplateLimits.characterCost)
      let isCased = text.unicodeScalars.contains { $0.properties.isCased }
      let recased = try recased(name, text)
      return isCased && text.isSame(as: recased)
    case "even", "odd", "divisibleby":
      guard let number = value.wholeNumber else { break }
      if name != "divisibleby" { return number.isMultiple(of: 2) == (name == "even") }
      guard arguments.count == 1, let divisor = arguments[0].wholeNumber else {
        throw fault("the test 'divisibleby' takes a whole number")
      }
      guard divisor != 0 else { throw fault("division by zero") }
      return divisor == -1 || number % divisor == 0
    default: break
    }
    throw fault("the test '\(name)' of \(value.kindName) is not supported")
  }

  /// Whether a value is of a kind; nil where the name is none of a kind.
  private static func isKind(_ name: String, _ value: TemplateValue) -> Bool? {
    switch (name, value) {
    case ("defined", _): !value.isUndefined
    case ("undefined", _): value.isUndefined
    case ("none", .none), ("string", .string), ("boolean", .bool), ("float", .double): true
    case ("integer", .int), ("number", .int), ("number", .double), ("number", .bool): true
    case ("mapping", .map), ("sequence", .map), ("iterable", .map): true
    case ("sequence", .list), ("iterable", .list), ("iterable", .loop): true
    case ("sequence", .string), ("iterable", .string): true
    case ("sequence", .undefined), ("iterable", .undefined): true
    case ("callable", .macro): true
    case ("true", .bool(let flag)): flag
    case ("false", .bool(let flag)): !flag
    case ("none", _), ("string", _), ("boolean", _), ("float", _), ("integer", _), ("number", _),
      ("mapping", _), ("sequence", _), ("iterable", _), ("callable", _), ("true", _), ("false", _):
      false
    default: nil
    }
  }
}
