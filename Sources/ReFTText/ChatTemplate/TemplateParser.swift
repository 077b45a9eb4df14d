// SPDX-License-Identifier: Apache-2.0
// Parses the statements of a chat template. Expressions are in TemplateParser+Expressions.swift.

/// A recursive-descent parser over the tokens of a template.
struct TemplateParser {
  /// Statements and expressions nest no deeper than this, so that no template exhausts the stack.
  static let deepest = 100

  private let tokens: [TemplateToken]
  private var index = 0
  var depth = 0

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
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.deepest else {
      throw fault("the template nests deeper than \(Self.deepest)")
    }
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
        let value = try expression()
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
    case "break", "continue":
      try expectEndOfBlock()
      return name == "break" ? .breakLoop : .continueLoop
    case "generation":
      return .group(try body(ending: "endgeneration"))
    case "elif", "else", "endif", "endfor", "endset", "endgeneration":
      throw fault("'{% \(name) %}' has no block that it belongs to")
    default:
      throw fault(
        "'{% \(name) %}' is not supported; chat templates may use if, for, set, break and continue"
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
    var condition: TemplateExpression? = try expression()
    while true {
      try expectEndOfBlock()
      let isLast = condition == nil
      let body = try statements(until: isLast ? ["endif"] : ["elif", "else", "endif"])
      branches.append((condition, body))
      if take(name: "elif") {
        condition = try expression()
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
    var names = [try expectName("the name of the loop's variable")]
    while take(",") { names.append(try expectName("the name of the loop's variable")) }
    guard take(name: "in") else { throw fault("expected 'in', found \(currentText)") }
    // The list stops before an 'if', which filters the items here.
    let items = try expressionWithoutCondition()
    let condition = take(name: "if") ? try expression() : nil
    if isNext(name: "recursive") { throw fault("recursive loops are not supported") }
    try expectEndOfBlock()
    let body = try statements(until: ["else", "endfor"])
    var otherwise: [TemplateStatement] = []
    if take(name: "else") {
      otherwise = try self.body(ending: "endfor")
    } else {
      advance()
      try expectEndOfBlock()
    }
    return .loop(
      TemplateLoop(
        names: names,
        items: items,
        condition: condition,
        body: body,
        otherwise: otherwise
      )
    )
  }

  private mutating func assignment() throws(TemplateFault) -> TemplateStatement.Kind {
    var targets: [TemplateTarget] = []
    repeat {
      var target = TemplateTarget(name: try expectName("the name of a variable"))
      if take(".") { target.field = try expectName("the name of a field") }
      targets.append(target)
    } while take(",")
    if take("=") {
      let value = try expressionOrTuple()
      try expectEndOfBlock()
      return .set(targets, value)
    }
    guard targets.count == 1, current.kind == .endBlock else {
      throw fault("expected '=', found \(currentText)")
    }
    return .setBlock(targets[0], try body(ending: "endset"))
  }
}
