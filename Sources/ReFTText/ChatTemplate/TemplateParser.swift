// SPDX-License-Identifier: Apache-2.0
// Parses the statements of a chat template. Expressions are in TemplateParser+Expressions.swift.

/// A recursive-descent parser over the tokens of a template.
struct TemplateParser {
  private let tokens: [TemplateToken]
  private var index = 0
  /// How deep blocks, brackets and signs nest here, so that no template exhausts the stack.
  private var depth = 0
  /// How many loops are open here, for `break` and `continue`.
  private var loops = 0

  init(tokens: [TemplateToken]) { self.tokens = tokens }

  // MARK: Tokens

  var current: TemplateToken { tokens[min(index, tokens.count - 1)] }

  func fault(_ message: String) -> TemplateFault {
    TemplateFault(line: current.line, message: message)
  }

  /// What stands at the current place, for messages.
  var currentText: String {
    switch current.kind {
    case .text: "text"
    case .beginBlock: "'{%'"
    case .endBlock: "'%}'"
    case .beginOutput: "'{{'"
    case .endOutput: "'}}'"
    case .name(let name): "'\(name)'"
    case .string: "a string"
    case .int(let value): "'\(value)'"
    case .double(let value): "'\(value)'"
    case .symbol(let symbol): "'\(symbol)'"
    case .end: "the end of the template"
    }
  }

  mutating func advance() { index += 1 }

  func isNext(_ symbol: String) -> Bool { current.kind == .symbol(symbol) }

  func isNext(name: String) -> Bool { current.kind == .name(name) }

  mutating func take(_ symbol: String) -> Bool {
    guard isNext(symbol) else { return false }
    advance()
    return true
  }

  mutating func take(name: String) -> Bool {
    guard isNext(name: name) else { return false }
    advance()
    return true
  }

  mutating func expect(_ symbol: String) throws(TemplateFault) {
    guard take(symbol) else { throw fault("expected '\(symbol)', found \(currentText)") }
  }

  mutating func expectName(_ what: String) throws(TemplateFault) -> String {
    guard case .name(let name) = current.kind else {
      throw fault("expected \(what), found \(currentText)")
    }
    advance()
    return name
  }

  /// Goes one level deeper; `leave` ends it.
  mutating func enter() throws(TemplateFault) {
    depth += 1
    guard depth <= TemplateLimits.deepestSyntax else {
      throw fault("the template nests deeper than \(TemplateLimits.deepestSyntax)")
    }
  }

  /// Ends a level.
  mutating func leave() { depth -= 1 }

  private mutating func expectEndOfBlock() throws(TemplateFault) {
    guard current.kind == .endBlock else { throw fault("expected '%}', found \(currentText)") }
    advance()
  }

  // MARK: Statements

  /// Parses the whole template.
  mutating func parse() throws(TemplateFault) -> [TemplateStatement] {
    let body = try statements(until: [])
    guard current.kind == .end else { throw fault("unexpected \(currentText)") }
    return body
  }

  /// Parses up to a block whose name is in `ends`; the parser then stands on that name.
  private mutating func statements(
    until ends: Set<String>
  ) throws(TemplateFault) -> [TemplateStatement] {
    try enter()
    defer { leave() }
    let start = tokens[max(0, index - 1)].line
    var body: [TemplateStatement] = []
    while true {
      let line = current.line
      switch current.kind {
      case .text(let text):
        advance()
        body.append(TemplateStatement(kind: .text(text), line: line))
      case .beginOutput:
        advance()
        let value = try expressionOrTuple()
        guard current.kind == .endOutput else {
          throw fault("expected '}}', found \(currentText)")
        }
        advance()
        body.append(TemplateStatement(kind: .output(value), line: line))
      case .beginBlock:
        advance()
        let name = try expectName("the name of a block")
        if ends.contains(name) {
          index -= 1
          return body
        }
        body.append(TemplateStatement(kind: try block(name), line: line))
      case .end where ends.isEmpty:
        return body
      case .end:
        let missing = ends.sorted().map { "'{% \($0) %}'" }.joined(separator: " or ")
        throw TemplateFault(line: start, message: "the block from here on lacks \(missing)")
      default:
        throw fault("unexpected \(currentText)")
      }
    }
  }

  private mutating func block(_ name: String) throws(TemplateFault) -> TemplateStatement.Kind {
    switch name {
    case "if": return try branches()
    case "for": return try loop()
    case "set": return try assignment()
    case "macro":
      return .macro(
        try macro(name: try expectName("the name of the macro"), ending: "endmacro")
      )
    case "call": return try callBlock()
    case "filter":
      let filters = try filterChain(isFirstNamed: true)
      return .filterBlock(filters, try body(ending: "endfilter"))
    case "with": return try withBlock()
    case "break", "continue":
      guard loops > 0 else { throw fault("'{% \(name) %}' stands outside of a loop") }
      try expectEndOfBlock()
      return name == "break" ? .breakLoop : .continueLoop
    case "generation":
      return .group(try body(ending: "endgeneration"))
    case "elif", "else":
      throw fault("'{% \(name) %}' has no block that it belongs to")
    case _ where name.hasPrefix("end"):
      throw fault("'{% \(name) %}' has no block that it belongs to")
    case "include", "import", "from", "extends", "block":
      throw fault("'{% \(name) %}' needs other templates; a chat template is one text alone")
    default:
      throw fault(
        "'{% \(name) %}' is not supported; chat templates may use if, for, set, macro, call, filter, "
          + "with, break, continue and generation"
      )
    }
  }

  /// Parses `%} … {% end %}`.
  private mutating func body(ending end: String) throws(TemplateFault) -> [TemplateStatement] {
    try expectEndOfBlock()
    let body = try statements(until: [end])
    advance()
    try expectEndOfBlock()
    return body
  }

  private mutating func branches() throws(TemplateFault) -> TemplateStatement.Kind {
    var branches: [(condition: TemplateExpression?, body: [TemplateStatement])] = []
    var condition: TemplateExpression? = try expressionOrTuple()
    while true {
      try expectEndOfBlock()
      let isLast = condition == nil
      let body = try statements(until: isLast ? ["endif"] : ["elif", "else", "endif"])
      branches.append((condition, body))
      if take(name: "elif") {
        condition = try expressionOrTuple()
      } else if take(name: "else") {
        condition = nil
      } else {
        advance()
        try expectEndOfBlock()
        return .branches(branches)
      }
    }
  }

  private mutating func loop() throws(TemplateFault) -> TemplateStatement.Kind {
    let target = try targets(fields: false)
    guard take(name: "in") else { throw fault("expected 'in', found \(currentText)") }
    // The list stops before an 'if', which filters the items here.
    let items = try expressionOrTuple(withCondition: false)
    let condition = take(name: "if") ? try expression() : nil
    if isNext(name: "recursive") { throw fault("recursive loops are not supported") }
    try expectEndOfBlock()
    loops += 1
    let body = try statements(until: ["else", "endfor"])
    loops -= 1
    var otherwise: [TemplateStatement] = []
    if take(name: "else") {
      otherwise = try self.body(ending: "endfor")
    } else {
      advance()
      try expectEndOfBlock()
    }
    return .loop(
      TemplateLoop(
        target: target,
        items: items,
        condition: condition,
        body: body,
        otherwise: otherwise
      )
    )
  }

  private mutating func assignment() throws(TemplateFault) -> TemplateStatement.Kind {
    let target = try targets(fields: true)
    if take("=") {
      let value = try expressionOrTuple()
      try expectEndOfBlock()
      return .set(target, value)
    }
    if case .several = target { throw fault("expected '=', found \(currentText)") }
    let filters = isNext("|") ? try filterChain(isFirstNamed: false) : []
    guard current.kind == .endBlock else { throw fault("expected '=', found \(currentText)") }
    return .setBlock(target, filters, try body(ending: "endset"))
  }

  /// Parses one target of an assignment, or several with commas between them.
  private mutating func targets(fields: Bool) throws(TemplateFault) -> TemplateTarget {
    let first = try target(fields: fields)
    guard isNext(",") else { return first }
    var targets = [first]
    while take(",") {
      if isNext("=") || isNext(")") || isNext(name: "in") { break }
      targets.append(try target(fields: fields))
    }
    return .several(targets)
  }

  private mutating func target(fields: Bool) throws(TemplateFault) -> TemplateTarget {
    if take("(") {
      try enter()
      defer { leave() }
      let inner = try targets(fields: fields)
      try expect(")")
      return inner
    }
    let name = try expectName("the name of a variable")
    guard fields, take(".") else { return .name(name) }
    return .field(name, try expectName("the name of a field"))
  }

  // MARK: Macros

  /// Parses `(parameters) %} … {% end %}`.
  private mutating func macro(
    name: String,
    ending end: String
  ) throws(TemplateFault) -> TemplateMacro {
    var parameters: [(name: String, standard: TemplateExpression?)] = []
    try expect("(")
    while !isNext(")") {
      let parameter = try expectName("the name of a parameter")
      let standard = take("=") ? try expression() : nil
      if standard == nil, parameters.last?.standard != nil {
        throw fault("the parameter '\(parameter)' needs a default as the one before it")
      }
      parameters.append((parameter, standard))
      guard take(",") else { break }
    }
    try expect(")")
    return TemplateMacro(name: name, parameters: parameters, body: try closedBody(ending: end))
  }

  /// Parses a body that loops around it cannot be left from.
  private mutating func closedBody(ending end: String) throws(TemplateFault) -> [TemplateStatement]
  {
    let outer = loops
    loops = 0
    defer { loops = outer }
    return try body(ending: end)
  }

  private mutating func callBlock() throws(TemplateFault) -> TemplateStatement.Kind {
    var parameters: [(name: String, standard: TemplateExpression?)] = []
    if take("(") {
      while !isNext(")") {
        let name = try expectName("the name of a parameter")
        parameters.append((name, take("=") ? try expression() : nil))
        guard take(",") else { break }
      }
      try expect(")")
    }
    let call = try expression()
    guard case .call = call.kind else { throw fault("expected a call of a macro") }
    let body = try closedBody(ending: "endcall")
    return .callBlock(call, TemplateMacro(name: "caller", parameters: parameters, body: body))
  }

  private mutating func withBlock() throws(TemplateFault) -> TemplateStatement.Kind {
    var values: [(target: TemplateTarget, value: TemplateExpression)] = []
    while current.kind != .endBlock {
      let target = try target(fields: false)
      try expect("=")
      values.append((target, try expression()))
      guard take(",") else { break }
    }
    return .with(values, try body(ending: "endwith"))
  }
}
