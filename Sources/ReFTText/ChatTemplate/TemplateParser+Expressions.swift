// SPDX-License-Identifier: Apache-2.0
// Parses expressions, with the precedence of Jinja: from the conditional, which binds weakest, down
// to calls, items and filters.

extension TemplateParser {
  /// Parses an expression.
  mutating func expression() throws(TemplateFault) -> TemplateExpression {
    var value = try expressionWithoutCondition()
    while take(name: "if") {
      let condition = try expressionWithoutCondition()
      var otherwise: TemplateExpression?
      if take(name: "else") {
        try enter()
        otherwise = try expression()
        leave()
      }
      value = TemplateExpression(
        kind: .conditional(value, condition: condition, otherwise),
        line: value.line
      )
    }
    return value
  }

  /// Parses one expression, or several with commas between them as a tuple.
  ///
  /// - Parameter withCondition: whether an `if` belongs to the expression.
  /// - Returns: the expression.
  /// - Throws: what stands there in place of an expression.
  mutating func expressionOrTuple(
    withCondition: Bool = true
  ) throws(TemplateFault) -> TemplateExpression {
    let first = try withCondition ? expression() : expressionWithoutCondition()
    guard isNext(",") else { return first }
    var items = [first]
    while take(",") {
      if current.kind == .endBlock || current.kind == .endOutput || isNext(")") { break }
      items.append(try withCondition ? expression() : expressionWithoutCondition())
    }
    return TemplateExpression(kind: .list(items, isTuple: true), line: first.line)
  }

  /// Parses an expression that has no `if` at its own level.
  mutating func expressionWithoutCondition() throws(TemplateFault) -> TemplateExpression {
    let first = try conjunction()
    var rest: [(symbol: String, right: TemplateExpression)] = []
    while take(name: "or") { rest.append(("or", try conjunction())) }
    return operation(first, rest)
  }

  private func operation(
    _ first: TemplateExpression,
    _ rest: [(symbol: String, right: TemplateExpression)]
  ) -> TemplateExpression {
    guard !rest.isEmpty else { return first }
    return TemplateExpression(kind: .operation(first, rest), line: first.line)
  }

  private mutating func conjunction() throws(TemplateFault) -> TemplateExpression {
    let first = try negation()
    var rest: [(symbol: String, right: TemplateExpression)] = []
    while take(name: "and") { rest.append(("and", try negation())) }
    return operation(first, rest)
  }

  private mutating func negation() throws(TemplateFault) -> TemplateExpression {
    let line = current.line
    guard take(name: "not") else { return try comparison() }
    try enter()
    defer { leave() }
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

  /// Parses operators of one precedence, from left to right.
  private mutating func chain(
    _ symbols: [String],
    _ next: (inout TemplateParser) throws(TemplateFault) -> TemplateExpression
  ) throws(TemplateFault) -> TemplateExpression {
    let first = try next(&self)
    var rest: [(symbol: String, right: TemplateExpression)] = []
    while let symbol = symbols.first(where: { isNext($0) }) {
      advance()
      rest.append((symbol, try next(&self)))
    }
    return operation(first, rest)
  }

  private mutating func sum() throws(TemplateFault) -> TemplateExpression {
    try chain(["+", "-"]) { (parser) throws(TemplateFault) in try parser.concatenation() }
  }

  private mutating func concatenation() throws(TemplateFault) -> TemplateExpression {
    try chain(["~"]) { (parser) throws(TemplateFault) in try parser.product() }
  }

  private mutating func product() throws(TemplateFault) -> TemplateExpression {
    try chain(["*", "/", "//", "%"]) { (parser) throws(TemplateFault) in try parser.power() }
  }

  private mutating func power() throws(TemplateFault) -> TemplateExpression {
    try chain(["**"]) { (parser) throws(TemplateFault) in try parser.unary() }
  }

  private mutating func unary(withFilters: Bool = true) throws(TemplateFault) -> TemplateExpression
  {
    try enter()
    defer { leave() }
    let line = current.line
    var value: TemplateExpression
    if let sign = ["-", "+"].first(where: { isNext($0) }) {
      advance()
      value = TemplateExpression(kind: .unary(sign, try unary(withFilters: false)), line: line)
    } else {
      value = try primary()
    }
    var links = 0
    while let next = try link(value, withFilters: withFilters) {
      value = next
      links += 1
      guard links <= TemplateLimits.deepestSyntax else {
        throw fault("more than \(TemplateLimits.deepestSyntax) items, calls and filters in a row")
      }
    }
    return value
  }

  // MARK: Filters, tests, items, calls

  /// Parses what follows a value and takes it in: an attribute, an item, a call, a filter, a test.
  private mutating func link(
    _ value: TemplateExpression,
    withFilters: Bool
  ) throws(TemplateFault) -> TemplateExpression? {
    let line = current.line
    if take(".") {
      if case .int(let number) = current.kind {
        advance()
        let key = TemplateExpression(kind: .value(.int(number)), line: line)
        return TemplateExpression(kind: .item(value, key), line: line)
      }
      let name = try expectName("the name of an attribute")
      return TemplateExpression(kind: .attribute(value, name), line: line)
    }
    if take("[") { return TemplateExpression(kind: try subscriptOf(value), line: line) }
    if isNext("(") {
      return TemplateExpression(kind: .call(value, try arguments()), line: line)
    }
    guard withFilters else { return nil }
    if isNext("|") {
      return TemplateExpression(kind: .filter(value, try filter()), line: line)
    }
    guard take(name: "is") else { return nil }
    return try test(value)
  }

  /// Parses `| name(arguments)`.
  private mutating func filter() throws(TemplateFault) -> TemplateFilter {
    try expect("|")
    return try namedFilter()
  }

  private mutating func namedFilter() throws(TemplateFault) -> TemplateFilter {
    let line = current.line
    let name = try expectName("the name of a filter")
    let arguments = isNext("(") ? try arguments() : TemplateArguments()
    return TemplateFilter(name: name, arguments: arguments, line: line)
  }

  /// Parses the filters of a block: `| a | b`, or `a | b` where the first has no bar.
  mutating func filterChain(isFirstNamed: Bool) throws(TemplateFault) -> [TemplateFilter] {
    var filters = [try isFirstNamed ? namedFilter() : filter()]
    while isNext("|") { filters.append(try filter()) }
    return filters
  }

  private mutating func test(
    _ value: TemplateExpression
  ) throws(TemplateFault) -> TemplateExpression {
    let line = current.line
    let isNegated = take(name: "not")
    let name = try expectName("the name of a test")
    var arguments = TemplateArguments()
    if isNext("(") {
      arguments = try self.arguments()
    } else if startsTestArgument {
      var argument = try primary()
      var links = 0
      while isNext(".") || isNext("[") || isNext("("),
        let next = try link(argument, withFilters: false)
      {
        argument = next
        links += 1
        guard links <= TemplateLimits.deepestSyntax else {
          throw fault("more than \(TemplateLimits.deepestSyntax) items and calls in a row")
        }
      }
      arguments.positional = [argument]
    }
    return TemplateExpression(
      kind: .test(
        value,
        TemplateFilter(name: name, arguments: arguments, line: line),
        isNegated: isNegated
      ),
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
    var names: Set<String> = []
    while !isNext(")") {
      if isNext("*") || isNext("**") { throw fault("arguments with '*' are not supported") }
      let value = try expression()
      if take("=") {
        guard case .name(let name) = value.kind else {
          throw fault("expected the name of an argument before '='")
        }
        guard names.insert(name).inserted else {
          throw fault("the argument '\(name)' is given twice")
        }
        arguments.named.append((name, try expression()))
      } else {
        guard arguments.named.isEmpty else {
          throw fault("an argument without a name follows one with a name")
        }
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
      if take(")") { return TemplateExpression(kind: .list([], isTuple: true), line: line) }
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
      return TemplateExpression(kind: .list(items, isTuple: false), line: line)
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
