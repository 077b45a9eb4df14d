// SPDX-License-Identifier: Apache-2.0
// The functions that templates may call, and the methods of what is no string. Anything else is an
// error that names it: a template that is rendered in part would prompt the model with the wrong text.

/// The values of the arguments of a call.
struct TemplateCallValues {
  var positional: [TemplateValue]
  var named: [TemplateMap.Entry] = []

  /// The argument at a position or of a name, or nil.
  func value(_ position: Int, _ name: String) -> TemplateValue? {
    if position < positional.count { return positional[position] }
    return named.first { $0.key == name }?.value
  }

  /// The text of an argument; nil where there is none, or none that is a text.
  func text(_ position: Int, _ name: String) -> String? {
    if case .string(let text) = value(position, name) { text } else { nil }
  }

  /// The whole number of an argument; nil where there is none, or none that is one.
  func wholeNumber(_ position: Int, _ name: String) -> Int? { value(position, name)?.wholeNumber }
}

extension TemplateEvaluator {
  /// Calls a function, a macro or a method.
  ///
  /// - Parameters:
  ///   - expression: the call.
  ///   - caller: the body of a `call` block, which a macro finds as `caller`.
  /// - Returns: the value of the call.
  /// - Throws: what there is nothing to call for, and what the call itself throws.
  func evaluateCall(
    _ expression: TemplateExpression,
    caller: TemplateValue?
  ) throws(TemplateFault) -> TemplateValue {
    guard case .call(let callee, let arguments) = expression.kind else {
      throw fault("only functions, macros and methods can be called")
    }
    switch callee.kind {
    case .name(let name):
      guard let value = try variable(name) else {
        return try function(name, try evaluate(arguments))
      }
      return try call(value, name, try evaluate(arguments), caller: caller)
    case .attribute(let base, let name):
      let value = try evaluate(base)
      return try method(name, of: value, try evaluate(arguments), caller: caller)
    default:
      let value = try evaluate(callee)
      return try call(value, "this", try evaluate(arguments), caller: caller)
    }
  }

  private func call(
    _ value: TemplateValue,
    _ name: String,
    _ values: TemplateCallValues,
    caller: TemplateValue?
  ) throws(TemplateFault) -> TemplateValue {
    guard case .macro(let number) = value else {
      throw fault("'\(name)' is \(value.kindName) and cannot be called")
    }
    return try callMacro(number, values, caller: caller)
  }

  // MARK: Functions

  private func function(
    _ name: String,
    _ values: TemplateCallValues
  ) throws(TemplateFault) -> TemplateValue {
    switch name {
    case "namespace", "dict":
      let entries = try self.entries(name, values)
      guard name == "namespace" else { return try map(entries) }
      namespaces.append(entries)
      return .namespace(namespaces.count - 1)
    case "raise_exception":
      throw fault(
        "the template refuses the messages: " + (values.text(0, "message") ?? "no reason given")
      )
    case "range": return try range(values)
    case "strftime_now":
      throw fault(
        "'strftime_now' is not there: the same messages must always give the same prompt; "
          + "the template should ask 'strftime_now is defined' first"
      )
    default: throw fault("the function '\(name)' is not supported")
    }
  }

  /// The entries of a new dictionary or namespace.
  private func entries(
    _ name: String,
    _ values: TemplateCallValues
  ) throws(TemplateFault) -> [TemplateMap.Entry] {
    var entries: [TemplateMap.Entry] = []
    switch values.positional.first {
    case nil: break
    case .map(let map)? where values.positional.count == 1:
      try charge(map.entries.count, times: TemplateLimits.entryCost)
      entries = map.entries
    default: throw fault("\(name)() takes a dictionary, or arguments with names")
    }
    for entry in values.named { try set(entry.key, entry.value, in: &entries) }
    return entries
  }

  private func range(_ values: TemplateCallValues) throws(TemplateFault) -> TemplateValue {
    let numbers = values.positional.compactMap(\.wholeNumber)
    guard numbers.count == values.positional.count, (1...3).contains(numbers.count) else {
      throw fault("range() takes one to three whole numbers")
    }
    let start = numbers.count > 1 ? numbers[0] : 0
    let end = numbers.count > 1 ? numbers[1] : numbers[0]
    let step = numbers.count > 2 ? numbers[2] : 1
    guard step != 0 else { throw fault("the step of range() is 0") }
    let length = max(0, ((Double(end) - Double(start)) / Double(step)).rounded(.up))
    guard length <= Double(TemplateLimits.longestRange) else {
      throw fault("range() has more than \(TemplateLimits.longestRange) items")
    }
    try charge(Int(length), times: TemplateLimits.itemCost)
    return try list(stride(from: start, to: end, by: step).map { .int($0) })
  }

  // MARK: Methods

  private func method(
    _ name: String,
    of value: TemplateValue,
    _ values: TemplateCallValues,
    caller: TemplateValue?
  ) throws(TemplateFault) -> TemplateValue {
    switch value {
    case .string(let text):
      if let result = try stringMethod(name, of: text, values) { return result }
    case .map(let map):
      if let result = try mapMethod(name, of: map, values) { return result }
    case .list(let list) where name == "count" || name == "index":
      return try listMethod(name, of: list, values)
    case .loop(let state) where name == "cycle":
      guard !values.positional.isEmpty else { throw fault("loop.cycle() takes values") }
      return values.positional[state.index % values.positional.count]
    case .undefined(let owner): throw fault("'\(owner)' is undefined and has no '\(name)'")
    default: break
    }
    if case .macro(let number) = try attribute(name, of: value) {
      return try callMacro(number, values, caller: caller)
    }
    throw fault("the method '\(name)' of \(value.kindName) is not supported")
  }

  private func listMethod(
    _ name: String,
    of list: TemplateList,
    _ values: TemplateCallValues
  ) throws(TemplateFault) -> TemplateValue {
    guard let wanted = values.value(0, "value") else { throw fault("\(name)() takes a value") }
    var count = 0
    for (index, item) in list.items.enumerated() where try equal(item, wanted) {
      if name == "index" { return .int(index) }
      count += 1
    }
    guard name == "count" else { throw fault("index() finds no such item") }
    return .int(count)
  }

  private func mapMethod(
    _ name: String,
    of map: TemplateMap,
    _ values: TemplateCallValues
  ) throws(TemplateFault) -> TemplateValue? {
    switch name {
    case "items": return try pairs(of: map)
    case "keys": return try list(try items(of: .map(map)))
    case "values":
      try charge(map.entries.count, times: TemplateLimits.itemCost)
      return try list(map.entries.map(\.value))
    case "copy": return .map(map)
    case "get":
      let key = values.text(0, "key") ?? ""
      try charge(map.entries.count, times: 2)
      let found = map.entries.first { $0.key.isSame(as: key) }?.value
      return found ?? values.value(1, "default") ?? TemplateValue.none
    default: return nil
    }
  }

  /// The entries of a dictionary as pairs.
  func pairs(of map: TemplateMap) throws(TemplateFault) -> TemplateValue {
    try charge(map.entries.count, times: 4 * TemplateLimits.itemCost)
    return try list(
      map.entries.map { .list(TemplateList([.string($0.key), $0.value], isTuple: true)) }
    )
  }
}
