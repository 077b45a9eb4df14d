// SPDX-License-Identifier: Apache-2.0
// The functions, methods, filters and tests that templates may use. Anything else is an error that
// names it: a template that is rendered in part would prompt the model with the wrong text.

/// The values of the arguments of a call.
struct TemplateCallValues {
  var positional: [TemplateValue]
  var named: [TemplateValue.Entry] = []

  /// The argument at a position or of a name, or nil.
  func value(_ position: Int, _ name: String) -> TemplateValue? {
    if position < positional.count { return positional[position] }
    return named.first { $0.key == name }?.value
  }

  /// The text of an argument; nil where there is none, or none that is a text.
  func text(_ position: Int, _ name: String) -> String? {
    if case .string(let text) = value(position, name) { text } else { nil }
  }
}

extension TemplateEvaluator {
  private func fault(_ line: Int, _ message: String) -> TemplateFault {
    TemplateFault(line: line, message: message)
  }

  // MARK: Functions and methods

  /// Calls a function, or a method of a value.
  mutating func call(
    _ callee: TemplateExpression,
    _ arguments: TemplateArguments,
    line: Int
  ) throws(TemplateFault) -> TemplateValue {
    switch callee.kind {
    case .attribute(let base, let name):
      let value = try evaluate(base)
      return try method(name, of: value, try evaluate(arguments), line: line)
    case .name(let name): return try function(name, try evaluate(arguments), line: line)
    default: throw fault(line, "only functions and methods can be called")
    }
  }

  private mutating func function(
    _ name: String,
    _ values: TemplateCallValues,
    line: Int
  ) throws(TemplateFault) -> TemplateValue {
    switch name {
    case "namespace", "dict":
      guard values.positional.isEmpty else {
        throw fault(line, "\(name)() takes arguments with names only")
      }
      guard name == "namespace" else { return .map(values.named) }
      namespaces.append(values.named)
      return .namespace(namespaces.count - 1)
    case "raise_exception":
      throw fault(
        line,
        "the template refuses the messages: " + (values.text(0, "message") ?? "no reason given")
      )
    case "range": return try range(values, line: line)
    default:
      throw fault(line, "the function '\(name)' is not supported")
    }
  }

  private func range(
    _ values: TemplateCallValues,
    line: Int
  ) throws(TemplateFault) -> TemplateValue {
    let numbers = values.positional.compactMap(\.wholeNumber)
    guard numbers.count == values.positional.count, (1...3).contains(numbers.count) else {
      throw fault(line, "range() takes one to three whole numbers")
    }
    let start = numbers.count > 1 ? numbers[0] : 0
    let end = numbers.count > 1 ? numbers[1] : numbers[0]
    let step = numbers.count > 2 ? numbers[2] : 1
    guard step != 0 else { throw fault(line, "the step of range() is 0") }
    let span = Double(end) - Double(start)
    guard span / Double(step) <= 100_000 else {
      throw fault(line, "range() has more than 100000 items")
    }
    return .list(stride(from: start, to: end, by: step).map { .int($0) })
  }

  private func method(
    _ name: String,
    of value: TemplateValue,
    _ values: TemplateCallValues,
    line: Int
  ) throws(TemplateFault) -> TemplateValue {
    switch value {
    case .string(let text):
      if let result = try stringMethod(name, of: text, values, line: line) { return result }
    case .map(let entries):
      if let result = mapMethod(name, of: entries, values) { return result }
    case .undefined(let owner): throw fault(line, "'\(owner)' is undefined and has no '\(name)'")
    default: break
    }
    throw fault(line, "the method '\(name)' of \(value.kindName) is not supported")
  }

  private func mapMethod(
    _ name: String,
    of entries: [TemplateValue.Entry],
    _ values: TemplateCallValues
  ) -> TemplateValue? {
    switch name {
    case "items": return .list(entries.map { .list([.string($0.key), $0.value]) })
    case "keys": return .list(entries.map { .string($0.key) })
    case "values": return .list(entries.map(\.value))
    case "get":
      let key = values.text(0, "key") ?? ""
      let found = entries.first { $0.key.isSame(as: key) }?.value
      return found ?? values.value(1, "default") ?? TemplateValue.none
    default: return nil
    }
  }

  private func stringMethod(
    _ name: String,
    of text: String,
    _ values: TemplateCallValues,
    line: Int
  ) throws(TemplateFault) -> TemplateValue? {
    switch name {
    case "strip", "lstrip", "rstrip":
      return .string(
        text.stripped(
          of: values.text(0, "chars"),
          atStart: name != "rstrip",
          atEnd: name != "lstrip"
        )
      )
    case "split": return try split(text, values, line: line)
    case "splitlines": return .list(text.lines.map { .string($0) })
    case "startswith", "endswith": return .bool(try hasEnd(name, text, values, line: line))
    case "upper": return .string(text.uppercased())
    case "lower": return .string(text.lowercased())
    case "title": return .string(text.capitalisedWords)
    case "capitalize": return .string(text.capitalisedSentence)
    case "replace": return .string(try replace(text, values, line: line))
    case "find":
      guard let part = values.text(0, "sub") else { throw fault(line, "find() takes a string") }
      guard let found = text.firstOccurrence(of: part) else { return .int(-1) }
      return .int(String(decoding: Array(text.utf8)[..<found], as: UTF8.self).unicodeScalars.count)
    case "count":
      guard let part = values.text(0, "sub"), !part.isEmpty else {
        throw fault(line, "count() takes a string that is not empty")
      }
      return .int(text.parts(separator: part, limit: .max).count - 1)
    case "join": return .string(try join(values.value(0, "iterable"), separator: text, line: line))
    default: return nil
    }
  }

  private func split(
    _ text: String,
    _ values: TemplateCallValues,
    line: Int
  ) throws(TemplateFault) -> TemplateValue {
    let most = values.value(1, "maxsplit")?.wholeNumber ?? -1
    let limit = most < 0 ? Int.max : most
    switch values.value(0, "sep") {
    case nil, TemplateValue.none?: return .list(text.words(limit: limit).map { .string($0) })
    case .string(let separator)? where !separator.isEmpty:
      return .list(text.parts(separator: separator, limit: limit).map { .string($0) })
    default: throw fault(line, "split() takes a string that is not empty")
    }
  }

  private func hasEnd(
    _ name: String,
    _ text: String,
    _ values: TemplateCallValues,
    line: Int
  ) throws(TemplateFault) -> Bool {
    let candidates: [TemplateValue]
    switch values.value(0, "prefix") {
    case .list(let several)?: candidates = several
    case let single?: candidates = [single]
    case nil: candidates = []
    }
    guard !candidates.isEmpty else { throw fault(line, "\(name)() takes a string") }
    for candidate in candidates {
      guard case .string(let part) = candidate else {
        throw fault(line, "\(name)() takes a string, found \(candidate.kindName)")
      }
      let isThere =
        name == "startswith"
        ? text.utf8.starts(with: part.utf8)
        : text.utf8.reversed().starts(with: part.utf8.reversed())
      if isThere { return true }
    }
    return false
  }

  private func replace(
    _ text: String,
    _ values: TemplateCallValues,
    line: Int
  ) throws(TemplateFault) -> String {
    guard let old = values.text(0, "old"), let new = values.text(1, "new"), !old.isEmpty else {
      throw fault(line, "replace takes two strings, the first not empty")
    }
    let most = values.value(2, "count")?.wholeNumber ?? -1
    let result = text.replacing(old, by: new, limit: most < 0 ? Int.max : most)
    return try checkedLength(result, line: line)
  }

  private func join(
    _ value: TemplateValue?,
    separator: String,
    line: Int
  ) throws(TemplateFault) -> String {
    guard let value else { throw fault(line, "join takes a list") }
    let texts = try items(of: value, line: line).map(\.text)
    return try checkedLength(texts.joined(separator: separator), line: line)
  }

  // MARK: Filters

  /// Applies a filter.
  mutating func filter(
    _ name: String,
    _ value: TemplateValue,
    _ values: TemplateCallValues,
    line: Int
  ) throws(TemplateFault) -> TemplateValue {
    switch name {
    case "default", "d":
      let isMissing = if case .undefined = value { true } else { false }
      let replacesFalse = values.value(1, "boolean")?.isTrue ?? false
      guard isMissing || (replacesFalse && !value.isTrue) else { return value }
      return values.value(0, "default_value") ?? .string("")
    case "trim":
      return .string(value.text.stripped(of: values.text(0, "chars"), atStart: true, atEnd: true))
    case "upper": return .string(value.text.uppercased())
    case "lower": return .string(value.text.lowercased())
    case "capitalize": return .string(value.text.capitalisedSentence)
    case "title": return .string(value.text.capitalisedWords)
    case "string", "safe": return .string(value.text)
    case "replace": return .string(try replace(value.text, values, line: line))
    case "length", "count": return .int(try length(value, line: line))
    case "list": return .list(try items(of: value, line: line))
    case "first", "last":
      let items = try items(of: value, line: line)
      return (name == "first" ? items.first : items.last)
        ?? .undefined("the \(name) item of nothing")
    case "join":
      var value = value
      if let attribute = values.value(1, "attribute") {
        value = .list(
          try items(of: value, line: line).mapFaulting { (part) throws(TemplateFault) in
            try item(attribute, of: part, line: line)
          }
        )
      }
      return .string(try join(value, separator: values.text(0, "d") ?? "", line: line))
    case "int":
      if case .string(let text) = value {
        return .int(Int(text.stripped(of: nil, atStart: true, atEnd: true)) ?? 0)
      }
      guard let number = value.number, let whole = Int(exactly: number.rounded(.towardZero)) else {
        return .int(0)
      }
      return .int(whole)
    case "items":
      guard case .map(let entries) = value else {
        throw fault(line, "the filter 'items' takes a dictionary, found \(value.kindName)")
      }
      return .list(entries.map { .list([.string($0.key), $0.value]) })
    case "tojson":
      guard let text = value.json(indent: values.value(0, "indent")?.wholeNumber) else {
        throw fault(line, "\(value.kindName) cannot be written as JSON")
      }
      return .string(try checkedLength(text, line: line))
    case "map", "selectattr", "rejectattr": return try select(name, value, values, line: line)
    default: throw fault(line, "the filter '\(name)' is not supported")
    }
  }

  private func length(_ value: TemplateValue, line: Int) throws(TemplateFault) -> Int {
    switch value {
    case .string(let text): return text.unicodeScalars.count
    case .list, .map, .undefined: return try items(of: value, line: line).count
    default: throw fault(line, "\(value.kindName) has no length")
    }
  }

  /// `map(attribute='role')`, `selectattr('role', 'equalto', 'user')` and the like.
  private func select(
    _ name: String,
    _ value: TemplateValue,
    _ values: TemplateCallValues,
    line: Int
  ) throws(TemplateFault) -> TemplateValue {
    let attribute =
      name == "map" ? values.named.first { $0.key == "attribute" }?.value : values.positional.first
    guard let attribute else {
      throw fault(line, "the filter '\(name)' is supported with an attribute only")
    }
    var result: [TemplateValue] = []
    for element in try items(of: value, line: line) {
      let part = try item(attribute, of: element, line: line)
      if name == "map" {
        result.append(part)
        continue
      }
      var isTrue = part.isTrue
      if let test = values.text(1, "test") {
        isTrue = try self.test(test, part, Array(values.positional.dropFirst(2)), line: line)
      }
      if isTrue == (name == "selectattr") { result.append(element) }
    }
    return .list(result)
  }

  // MARK: Tests

  /// Whether a value passes a test.
  func test(
    _ name: String,
    _ value: TemplateValue,
    _ arguments: [TemplateValue],
    line: Int
  ) throws(TemplateFault) -> Bool {
    switch (name, value) {
    case ("defined", .undefined), ("undefined", .undefined): return name == "undefined"
    case ("defined", _), ("undefined", _): return name == "defined"
    case ("none", .none), ("string", .string), ("boolean", .bool), ("float", .double): return true
    case ("integer", .int), ("number", .int), ("number", .double), ("number", .bool): return true
    case ("mapping", .map), ("sequence", .map), ("iterable", .map): return true
    case ("sequence", .list), ("iterable", .list): return true
    case ("sequence", .string), ("iterable", .string): return true
    case ("sequence", .undefined), ("iterable", .undefined): return true
    case ("true", .bool(let flag)): return flag
    case ("false", .bool(let flag)): return !flag
    case ("none", _), ("string", _), ("boolean", _), ("float", _), ("integer", _), ("number", _),
      ("mapping", _), ("sequence", _), ("iterable", _), ("true", _), ("false", _):
      return false
    default: break
    }
    let symbols = [
      "eq": "==", "equalto": "==", "==": "==", "ne": "!=", "!=": "!=", "in": "in", "lt": "<",
      "le": "<=", "gt": ">", "ge": ">=",
    ]
    if let symbol = symbols[name], let argument = arguments.first {
      return try compare(symbol, value, argument, line: line)
    }
    guard let number = value.wholeNumber, ["even", "odd", "divisibleby"].contains(name) else {
      throw fault(line, "the test '\(name)' of \(value.kindName) is not supported")
    }
    if name != "divisibleby" { return number.isMultiple(of: 2) == (name == "even") }
    guard let divisor = arguments.first?.wholeNumber else {
      throw fault(line, "the test 'divisibleby' takes a whole number")
    }
    return number.isMultiple(of: divisor)
  }
}

extension Array {
  /// `map` for closures with a typed error.
  fileprivate func mapFaulting<Result>(
    _ transform: (Element) throws(TemplateFault) -> Result
  ) throws(TemplateFault) -> [Result] {
    var results: [Result] = []
    for element in self { results.append(try transform(element)) }
    return results
  }
}
