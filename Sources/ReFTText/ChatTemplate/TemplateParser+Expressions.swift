// SPDX-License-Identifier: Apache-2.0
// Parses expressions, with the precedence of Jinja: from the conditional, which binds weakest, down
// to calls, items and filters.

extension TemplateParser {
  /// Parses an expression.
  mutating func expression() throws(TemplateFault) -> TemplateExpression {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.deepest else {
      throw fault("the expression nests deeper than \(Self.deepest)")
    }
    var value = try expressionWithoutCondition()
    while take(name: "if") {
      let condition = try expressionWithoutCondition()
      let otherwise = take(name: "else") ? try expression() : nil
      value = TemplateExpression(
        kind: .conditional(value, condition: condition, otherwise),
        line: value.line
      )
    }
    return value
  }

  /// Parses one expression, or several with commas between them as a list.
  mutating func expressionOrTuple() throws(TemplateFault) -> TemplateExpression {
    let first = try expression()
    guard isNext(",") else { return first }
    var items = [first]
    while take(",") {
      if current.kind == .endBlock || isNext(")") { break }
      items.append(try expression())
    }
    return TemplateExpression(kind: .list(items), line: first.line)
  }

  /// Parses an expression that has no `if` at its own level.
  mutating func expressionWithoutCondition() throws(TemplateFault) -> TemplateExpression {
    var left = try conjunction()
    while take(name: "or") {
      left = binary("or", left, try conjunction())
    }
    return left
  }

  private func binary(
    _ symbol: String,
    _ left: TemplateExpression,
    _ right: TemplateExpression
  ) -> TemplateExpression {
    TemplateExpression(kind: .binary(symbol, left, right), line: left.line)
  }

  private mutating func conjunction() throws(TemplateFault) -> TemplateExpression {
    var left = try negation()
    while take(name: "and") { left = binary("and", left, try negation()) }
    return left
  }

  private mutating func negation() throws(TemplateFault) -> TemplateExpression {
    let line = current.line
    guard take(name: "not") else { return try comparison() }
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.deepest else {
      throw fault("the expression nests deeper than \(Self.deepest)")
    }
    return TemplateExpression(kind: .unary("not", try negation()), line: line)
  }

  private mutating func comparison() throws(TemplateFault) -> TemplateExpression {
    let left = try sum()
    var pairs: [(symbol: String, right: TemplateExpression)] = []
    while let symbol = comparisonSymbol() { pairs.append((symbol, try sum())) }
    guard !pairs.isEmpty else { return left }
    return TemplateExpression(kind: .comparison(left, pairs), line: left.line)
  }

  private mutating func comparisonSymbol() -> String? {
    for symbol in ["==", "!=", "<=", ">=", "<", ">"] where take(symbol) { return symbol }
    if take(name: "in") { return "in" }
    let before = self
    if take(name: "not") {
      if take(name: "in") { return "not in" }
      self = before
    }
    return nil
  }

  private mutating func sum() throws(TemplateFault) -> TemplateExpression {
    var left = try concatenation()
    while true {
      if take("+") {
        left = binary("+", left, try concatenation())
      } else if take("-") {
        left = binary("-", left, try concatenation())
      } else {
        return left
      }
    }
  }

  private mutating func concatenation() throws(TemplateFault) -> TemplateExpression {
    var left = try product()
    while take("~") { left = binary("~", left, try product()) }
    return left
  }

  private mutating func product() throws(TemplateFault) -> TemplateExpression {
    var left = try unary()
    while true {
      guard let symbol = ["*", "/", "//", "%"].first(where: { isNext($0) }) else { return left }
      advance()
      left = binary(symbol, left, try unary())
    }
  }

  private mutating func unary(withFilters: Bool = true) throws(TemplateFault) -> TemplateExpression
  {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.deepest else {
      throw fault("the expression nests deeper than \(Self.deepest)")
    }
    let line = current.line
    var value: TemplateExpression
    if let sign = ["-", "+"].first(where: { isNext($0) }) {
      advance()
      value = TemplateExpression(kind: .unary(sign, try unary(withFilters: false)), line: line)
    } else {
      value = try postfix(try primary())
    }
    while withFilters, let next = try filterOrTest(value) { value = next }
    return value
  }

  // MARK: Filters, tests, items, calls

  private mutating func filterOrTest(
    _ value: TemplateExpression
  ) throws(TemplateFault) -> TemplateExpression? {
    if take("|") {
      let line = current.line
      let name = try expectName("the name of a filter")
      let arguments = isNext("(") ? try arguments() : TemplateArguments()
      return TemplateExpression(kind: .filter(value, name, arguments), line: line)
    }
    guard take(name: "is") else { return nil }
    let line = current.line
    let isNegated = take(name: "not")
    let name = try expectName("the name of a test")
    var arguments = TemplateArguments()
    if isNext("(") {
      arguments = try self.arguments()
    } else if startsTestArgument {
      arguments.positional = [try postfix(try primary())]
    }
    return TemplateExpression(
      kind: .test(value, name, arguments, isNegated: isNegated),
      line: line
    )
  }

  /// Whether what follows a test's name is its argument, as in `x is divisibleby 3`.
  private var startsTestArgument: Bool {
    switch current.kind {
    case .string, .int, .double: true
    case .name(let name): !["else", "or", "and", "is", "if", "in", "not"].contains(name)
    case .symbol(let symbol): symbol == "[" || symbol == "{"
    default: false
    }
  }

  private mutating func postfix(
    _ start: TemplateExpression
  ) throws(TemplateFault) -> TemplateExpression {
    var value = start
    while true {
      let line = current.line
      if take(".") {
        if case .int(let number) = current.kind {
          advance()
          let key = TemplateExpression(kind: .value(.int(number)), line: line)
          value = TemplateExpression(kind: .item(value, key), line: line)
        } else {
          let name = try expectName("the name of an attribute")
          value = TemplateExpression(kind: .attribute(value, name), line: line)
        }
      } else if take("[") {
        value = TemplateExpression(kind: try subscriptOf(value), line: line)
      } else if isNext("(") {
        value = TemplateExpression(kind: .call(value, try arguments()), line: line)
      } else {
        return value
      }
    }
  }

  /// Parses what stands in brackets after a value: an item's key, or the bounds of a slice.
  private mutating func subscriptOf(
    _ value: TemplateExpression
  ) throws(TemplateFault) -> TemplateExpression.Kind {
    var bounds: [TemplateExpression?] = [nil]
    while !isNext("]") {
      if take(":") {
        bounds.append(nil)
      } else if bounds[bounds.count - 1] == nil {
        bounds[bounds.count - 1] = try expression()
      } else {
        throw fault("expected ']', found \(currentText)")
      }
    }
    try expect("]")
    if bounds.count == 1, let key = bounds[0] { return .item(value, key) }
    guard (2...3).contains(bounds.count) else { throw fault("expected a key between '[' and ']'") }
    return .slice(value, bounds)
  }

  private mutating func arguments() throws(TemplateFault) -> TemplateArguments {
    try expect("(")
    var arguments = TemplateArguments()
    while !isNext(")") {
      if isNext("*") || isNext("**") { throw fault("arguments with '*' are not supported") }
      let value = try expression()
      if take("=") {
        guard case .name(let name) = value.kind else {
          throw fault("expected the name of an argument before '='")
        }
        arguments.named.append((name, try expression()))
      } else {
        arguments.positional.append(value)
      }
      guard take(",") else { break }
    }
    try expect(")")
    return arguments
  }

  // MARK: Primaries

  private mutating func primary() throws(TemplateFault) -> TemplateExpression {
    let line = current.line
    switch current.kind {
    case .name(let name):
      advance()
      return TemplateExpression(
        kind: Self.constant(name).map { .value($0) } ?? .name(name),
        line: line
      )
    case .string(let first):
      advance()
      var text = first
      while case .string(let more) = current.kind {
        text += more
        advance()
      }
      return TemplateExpression(kind: .value(.string(text)), line: line)
    case .int(let value):
      advance()
      return TemplateExpression(kind: .value(.int(value)), line: line)
    case .double(let value):
      advance()
      return TemplateExpression(kind: .value(.double(value)), line: line)
    case .symbol("("):
      advance()
      if take(")") { return TemplateExpression(kind: .list([]), line: line) }
      let value = try expressionOrTuple()
      try expect(")")
      return value
    case .symbol("["):
      advance()
      var items: [TemplateExpression] = []
      while !isNext("]") {
        items.append(try expression())
        guard take(",") else { break }
      }
      try expect("]")
      return TemplateExpression(kind: .list(items), line: line)
    case .symbol("{"):
      advance()
      return TemplateExpression(kind: try mapEntries(), line: line)
    default:
      throw fault("expected a value, found \(currentText)")
    }
  }

  private mutating func mapEntries() throws(TemplateFault) -> TemplateExpression.Kind {
    var entries: [(key: TemplateExpression, value: TemplateExpression)] = []
    while !isNext("}") {
      let key = try expression()
      try expect(":")
      entries.append((key, try expression()))
      guard take(",") else { break }
    }
    try expect("}")
    return .map(entries)
  }

  private static func constant(_ name: String) -> TemplateValue? {
    switch name {
    case "true", "True": .bool(true)
    case "false", "False": .bool(false)
    case "none", "None": TemplateValue.none
    default: nil
    }
  }
}
