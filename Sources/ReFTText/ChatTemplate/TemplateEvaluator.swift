// SPDX-License-Identifier: Apache-2.0
// Runs the statements of a chat template. Expressions are in TemplateEvaluator+Expressions.swift.

/// One rendering of a template, within the limits of TemplateLimits.swift.
final class TemplateEvaluator {
  private enum Flow { case onward, breakLoop, continueLoop }

  /// Variables, and where to look for those that are not among them.
  final class Scope {
    var values: [String: TemplateValue]
    let outer: Scope?

    init(_ values: [String: TemplateValue] = [:], in outer: Scope?) {
      self.values = values
      self.outer = outer
    }
  }

  /// The current scope.
  var scope: Scope
  /// The fields of all namespaces made so far.
  var namespaces: [[TemplateMap.Entry]] = []
  /// All macros made so far, with the scope that each sees.
  ///
  /// Values name them by number: a scope that held itself would never be freed.
  var macros: [(declaration: TemplateMacro, scope: Scope)] = []
  /// The line of what is being evaluated.
  var line = 1
  private var output = ""
  private var depth = 0
  private var budget: TemplateBudget
  /// Whether writing what is undefined is an error.
  private let isStrict: Bool

  init(variables: [String: TemplateValue], work: Int, isStrict: Bool = false) {
    self.isStrict = isStrict
    scope = Scope(variables, in: nil)
    budget = TemplateBudget(work)
  }

  /// Renders a template.
  func run(_ body: [TemplateStatement]) throws(TemplateFault) -> String {
    _ = try perform(body)
    return output
  }

  // MARK: Limits

  /// What is wrong, in the current line.
  func fault(_ message: String) -> TemplateFault { TemplateFault(line: line, message: message) }

  /// Pays for bytes or items before they are touched.
  func charge(_ count: Int, times cost: Int = 1) throws(TemplateFault) {
    try budget.charge(count, times: cost, line: line)
  }

  /// Goes one level deeper, and pays for a step; `leave` ends it.
  func enter(_ line: Int) throws(TemplateFault) {
    self.line = line
    depth += 1
    guard depth <= TemplateLimits.deepestEvaluation else {
      throw fault("the template nests deeper than \(TemplateLimits.deepestEvaluation)")
    }
    try charge(1, times: TemplateLimits.stepCost)
  }

  /// Ends a level.
  func leave(_ line: Int) {
    self.line = line
    depth -= 1
  }

  // MARK: Variables

  /// The value of a variable, from the innermost scope that has it.
  func variable(_ name: String) throws(TemplateFault) -> TemplateValue? {
    var next: Scope? = scope
    while let scope = next {
      if let value = scope.values[name] { return value }
      try charge(1, times: TemplateLimits.stepCost)
      next = scope.outer
    }
    return nil
  }

  /// Runs something in a scope of its own inside of `outer`.
  func inScope<Result>(
    of outer: Scope,
    _ body: () throws(TemplateFault) -> Result
  ) throws(TemplateFault) -> Result {
    try charge(1, times: TemplateLimits.scopeCost)
    let before = scope
    scope = Scope(in: outer)
    defer { scope = before }
    return try body()
  }

  private func assign(
    _ value: TemplateValue,
    to target: TemplateTarget
  ) throws(TemplateFault) {
    switch target {
    case .name(let name): scope.values[name] = value
    case .several(let targets):
      guard case .list(let list) = value, list.items.count == targets.count else {
        throw fault("\(value.kindName) cannot be unpacked into \(targets.count) variables")
      }
      try charge(targets.count, times: TemplateLimits.stepCost)
      for (target, part) in zip(targets, list.items) { try assign(part, to: target) }
    case .field(let name, let field):
      guard case .namespace(let number) = try variable(name) else {
        throw fault("'\(name)' is no namespace; only fields of one can be set")
      }
      try charge(namespaces[number].count)
      if let index = namespaces[number].firstIndex(where: { $0.key.isSame(as: field) }) {
        namespaces[number][index].value = value
      } else {
        try charge(1, times: TemplateLimits.entryCost)
        namespaces[number].append(.init(field, value))
      }
    }
  }

  // MARK: Statements

  private func write(_ text: String) throws(TemplateFault) {
    try charge(text.utf8.count)
    output += text
  }

  /// Runs something and returns what it writes.
  private func captured<Result>(
    _ body: () throws(TemplateFault) -> Result
  ) throws(TemplateFault) -> (text: String, result: Result) {
    let outer = output
    output = ""
    defer { output = outer }
    let result = try body()
    return (output, result)
  }

  private func perform(_ body: [TemplateStatement]) throws(TemplateFault) -> Flow {
    for statement in body {
      let before = line
      try enter(statement.line)
      let flow = try perform(statement)
      leave(before)
      if flow != .onward { return flow }
    }
    return .onward
  }

  private func perform(_ statement: TemplateStatement) throws(TemplateFault) -> Flow {
    switch statement.kind {
    case .text(let text): try write(text)
    case .output(let expression):
      let value = try evaluate(expression)
      if isStrict, case .undefined(let name) = value { throw fault("'\(name)' is undefined") }
      try write(try text(of: value))
    case .group(let body):
      return try inScope(of: scope) { () throws(TemplateFault) in try perform(body) }
    case .breakLoop: return .breakLoop
    case .continueLoop: return .continueLoop
    case .branches(let branches):
      for branch in branches {
        if let condition = branch.condition, !(try evaluate(condition).isTrue) { continue }
        return try perform(branch.body)
      }
    case .loop(let loop): try perform(loop)
    case .set(let target, let expression): try assign(try evaluate(expression), to: target)
    case .setBlock(let target, let filters, let body):
      let (text, flow) = try captured { () throws(TemplateFault) in
        try inScope(of: scope) { () throws(TemplateFault) in try perform(body) }
      }
      try assign(try apply(filters, to: .string(text)), to: target)
      return flow
    case .filterBlock(let filters, let body):
      let (text, flow) = try captured { () throws(TemplateFault) in
        try inScope(of: scope) { () throws(TemplateFault) in try perform(body) }
      }
      try write(try self.text(of: try apply(filters, to: .string(text))))
      return flow
    case .macro(let macro): scope.values[macro.name] = try closure(macro)
    case .callBlock(let call, let body):
      try write(try text(of: try evaluateCall(call, caller: try closure(body))))
    case .with(let values, let body):
      return try inScope(of: scope) { () throws(TemplateFault) in
        for (target, value) in values {
          try assign(try evaluate(value), to: target)
        }
        return try perform(body)
      }
    }
    return .onward
  }

  private func apply(
    _ filters: [TemplateFilter],
    to value: TemplateValue
  ) throws(TemplateFault) -> TemplateValue {
    var value = value
    for filter in filters {
      line = filter.line
      value = try self.filter(filter.name, value, try evaluate(filter.arguments))
    }
    return value
  }

  // MARK: Macros

  private func closure(_ macro: TemplateMacro) throws(TemplateFault) -> TemplateValue {
    try charge(1, times: TemplateLimits.scopeCost)
    macros.append((macro, scope))
    return .macro(macros.count - 1)
  }

  /// Calls a macro and returns what it writes.
  func callMacro(
    _ number: Int,
    _ values: TemplateCallValues,
    caller: TemplateValue?
  ) throws(TemplateFault) -> TemplateValue {
    let (macro, outer) = macros[number]
    let names = macro.parameters.map(\.name)
    guard values.positional.count <= names.count else {
      throw fault(
        "the macro '\(macro.name)' takes \(names.count) arguments, found \(values.positional.count)"
      )
    }
    if let extra = values.named.first(where: { !names.contains($0.key) }) {
      throw fault("the macro '\(macro.name)' has no parameter '\(extra.key)'")
    }
    let (text, _) = try captured { () throws(TemplateFault) in
      try inScope(of: outer) { () throws(TemplateFault) in
        if let caller { scope.values["caller"] = caller }
        for (index, parameter) in macro.parameters.enumerated() {
          try charge(values.named.count + 1, times: TemplateLimits.stepCost)
          var value = values.value(index, parameter.name)
          if value == nil, let standard = parameter.standard { value = try evaluate(standard) }
          scope.values[parameter.name] = value ?? .undefined(parameter.name)
        }
        return try perform(macro.body)
      }
    }
    return .string(text)
  }

  // MARK: Loops

  private func perform(_ loop: TemplateLoop) throws(TemplateFault) {
    var items = try items(of: try evaluate(loop.items))
    let outer = scope
    if let condition = loop.condition {
      var kept: [TemplateValue] = []
      for item in items {
        try charge(1, times: TemplateLimits.itemCost)
        let isKept = try inScope(of: outer) { () throws(TemplateFault) in
          try assign(item, to: loop.target)
          return try evaluate(condition).isTrue
        }
        if isKept { kept.append(item) }
      }
      items = kept
    }
    if items.isEmpty {
      _ = try inScope(of: outer) { () throws(TemplateFault) in try perform(loop.otherwise) }
      return
    }
    let list = TemplateList(items)
    for (index, item) in items.enumerated() {
      let flow = try inScope(of: outer) { () throws(TemplateFault) in
        let state = TemplateLoopState(items: list, index: index)
        scope.values["loop"] = .loop(state)
        try assign(item, to: loop.target)
        return try perform(loop.body)
      }
      if flow == .breakLoop { break }
    }
  }
}
