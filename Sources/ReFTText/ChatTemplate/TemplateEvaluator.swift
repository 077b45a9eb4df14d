// SPDX-License-Identifier: Apache-2.0
// Runs the statements of a chat template. Expressions are in TemplateEvaluator+Expressions.swift.

/// One rendering of a template, with limits that no honest template reaches.
struct TemplateEvaluator {
  /// Statements and expressions that one rendering may evaluate.
  private static let mostSteps = 1_000_000
  /// Bytes that one text may have.
  private static let longestText = 64 << 20
  /// How deep the evaluation of an expression may nest.
  private static let deepest = 200

  private enum Flow { case onward, breakLoop, continueLoop }

  private var scopes: [[String: TemplateValue]]
  private var output = ""
  private var steps = 0
  var depth = 0
  /// The fields of all namespaces made so far.
  var namespaces: [[TemplateValue.Entry]] = []

  init(variables: [String: TemplateValue]) { scopes = [variables] }

  /// Renders a template.
  mutating func run(_ body: [TemplateStatement]) throws(TemplateFault) -> String {
    _ = try perform(body)
    return output
  }

  /// The value of a variable, from the innermost scope that has it.
  func variable(_ name: String) -> TemplateValue? {
    for scope in scopes.reversed() {
      if let value = scope[name] { return value }
    }
    return nil
  }

  /// Counts a step and a level of nesting.
  mutating func enter(line: Int) throws(TemplateFault) {
    depth += 1
    try countStep(line: line)
    guard depth <= Self.deepest else {
      throw TemplateFault(line: line, message: "the template nests deeper than \(Self.deepest)")
    }
  }

  private mutating func countStep(line: Int) throws(TemplateFault) {
    steps += 1
    guard steps <= Self.mostSteps else {
      throw TemplateFault(
        line: line,
        message: "the template takes more than \(Self.mostSteps) steps"
      )
    }
  }

  /// Refuses texts that grow without bound.
  func checkedLength(_ text: String, line: Int) throws(TemplateFault) -> String {
    guard text.utf8.count <= Self.longestText else {
      throw TemplateFault(line: line, message: "a text grows beyond \(Self.longestText) bytes")
    }
    return text
  }

  private mutating func write(_ text: String, line: Int) throws(TemplateFault) {
    output += text
    guard output.utf8.count <= Self.longestText else {
      throw TemplateFault(line: line, message: "the text grows beyond \(Self.longestText) bytes")
    }
  }

  private mutating func perform(_ body: [TemplateStatement]) throws(TemplateFault) -> Flow {
    for statement in body {
      try enter(line: statement.line)
      let flow = try perform(statement)
      depth -= 1
      if flow != .onward { return flow }
    }
    return .onward
  }

  private mutating func perform(_ statement: TemplateStatement) throws(TemplateFault) -> Flow {
    switch statement.kind {
    case .text(let text): try write(text, line: statement.line)
    case .output(let expression): try write(try evaluate(expression).text, line: statement.line)
    case .group(let body): return try perform(body)
    case .breakLoop: return .breakLoop
    case .continueLoop: return .continueLoop
    case .branches(let branches):
      for branch in branches {
        if let condition = branch.condition, !(try evaluate(condition).isTrue) { continue }
        return try perform(branch.body)
      }
    case .loop(let loop): try perform(loop, line: statement.line)
    case .set(let targets, let expression):
      try assign(try evaluate(expression), to: targets, line: statement.line)
    case .setBlock(let target, let body):
      let outer = output
      output = ""
      let flow = try perform(body)
      let text = output
      output = outer
      try assign(.string(text), to: target, line: statement.line)
      return flow
    }
    return .onward
  }

  // MARK: Assignment

  private mutating func assign(
    _ value: TemplateValue,
    to targets: [TemplateTarget],
    line: Int
  ) throws(TemplateFault) {
    if targets.count == 1 { return try assign(value, to: targets[0], line: line) }
    for (target, part) in zip(targets, try unpack(value, count: targets.count, line: line)) {
      try assign(part, to: target, line: line)
    }
  }

  private mutating func assign(
    _ value: TemplateValue,
    to target: TemplateTarget,
    line: Int
  ) throws(TemplateFault) {
    guard let field = target.field else {
      scopes[scopes.count - 1][target.name] = value
      return
    }
    guard case .namespace(let number) = variable(target.name) else {
      throw TemplateFault(
        line: line,
        message: "'\(target.name)' is no namespace; only fields of one can be set"
      )
    }
    if let index = namespaces[number].firstIndex(where: { $0.key.isSame(as: field) }) {
      namespaces[number][index].value = value
    } else {
      namespaces[number].append(.init(field, value))
    }
  }

  private func unpack(
    _ value: TemplateValue,
    count: Int,
    line: Int
  ) throws(TemplateFault) -> [TemplateValue] {
    guard case .list(let parts) = value, parts.count == count else {
      throw TemplateFault(
        line: line,
        message: "\(value.kindName) cannot be unpacked into \(count) variables"
      )
    }
    return parts
  }

  // MARK: Loops

  private mutating func perform(_ loop: TemplateLoop, line: Int) throws(TemplateFault) {
    var items = try items(of: try evaluate(loop.items), line: line)
    scopes.append([:])
    defer { scopes.removeLast() }
    if let condition = loop.condition {
      var kept: [TemplateValue] = []
      for item in items {
        try bind(item, to: loop.names, line: line)
        if try evaluate(condition).isTrue { kept.append(item) }
      }
      items = kept
    }
    if items.isEmpty {
      _ = try perform(loop.otherwise)
      return
    }
    for index in items.indices {
      try countStep(line: line)
      scopes[scopes.count - 1] = ["loop": Self.loopValue(items, index)]
      try bind(items[index], to: loop.names, line: line)
      if try perform(loop.body) == .breakLoop { break }
    }
  }

  private mutating func bind(
    _ item: TemplateValue,
    to names: [String],
    line: Int
  ) throws(TemplateFault) {
    try assign(item, to: names.map { TemplateTarget(name: $0) }, line: line)
  }

  private static func loopValue(_ items: [TemplateValue], _ index: Int) -> TemplateValue {
    let last = items.count - 1
    return .map([
      .init("index", .int(index + 1)),
      .init("index0", .int(index)),
      .init("revindex", .int(items.count - index)),
      .init("revindex0", .int(last - index)),
      .init("first", .bool(index == 0)),
      .init("last", .bool(index == last)),
      .init("length", .int(items.count)),
      .init("previtem", index > 0 ? items[index - 1] : .undefined("loop.previtem")),
      .init("nextitem", index < last ? items[index + 1] : .undefined("loop.nextitem")),
    ])
  }

  /// What a loop over a value visits: items, keys, or the characters of a text.
  func items(of value: TemplateValue, line: Int) throws(TemplateFault) -> [TemplateValue] {
    switch value {
    case .list(let items): return items
    case .map(let entries): return entries.map { .string($0.key) }
    case .string(let text): return text.unicodeScalars.map { .string(String(Character($0))) }
    case .undefined: return []
    default: throw TemplateFault(line: line, message: "\(value.kindName) has no items")
    }
  }
}
