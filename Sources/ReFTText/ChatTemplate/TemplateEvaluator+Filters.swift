// SPDX-License-Identifier: Apache-2.0
// The filters of single values. Those of lists are in TemplateEvaluator+ListFilters.swift.

import Foundation

extension TemplateEvaluator {
  /// Applies a filter.
  func filter(
    _ name: String,
    _ value: TemplateValue,
    _ values: TemplateCallValues
  ) throws(TemplateFault) -> TemplateValue {
    switch name {
    case "default", "d":
      let replacesFalse = values.value(1, "boolean")?.isTrue ?? false
      guard value.isUndefined || (replacesFalse && !value.isTrue) else { return value }
      return values.value(0, "default_value") ?? .string("")
    case "trim":
      return .string(try stripped(try text(of: value), of: values.value(0, "chars")))
    case "upper", "lower", "capitalize": return .string(try recased(name, try text(of: value)))
    case "title":
      let text = try text(of: value)
      try charge(text.utf8.count, times: TemplateLimits.characterCost)
      return .string(text.capitalisedTitle)
    case "string", "safe": return .string(try text(of: value))
    case "replace": return .string(try replace(try text(of: value), values))
    case "indent": return .string(try indented(try text(of: value), values))
    case "center": return .string(try padded(name, try text(of: value), values))
    case "format":
      let list = TemplateValue.list(TemplateList(values.positional, isTuple: true))
      return .string(try percentFormat(try text(of: value), list))
    case "length", "count": return .int(try length(value))
    case "int": return try wholeNumber(value, values)
    case "float":
      let standard = values.value(0, "default") ?? .double(0)
      if case .string(let text) = value {
        try charge(text.utf8.count)
        return Self.number(in: text).map { .double($0) } ?? standard
      }
      return value.number.map { .double($0) } ?? standard
    case "abs":
      if let number = value.wholeNumber {
        return number < 0 ? try unary("-", .int(number)) : .int(number)
      }
      guard let number = value.number else { throw fault("abs takes a number") }
      return .double(Swift.abs(number))
    case "round": return try rounded(value, values)
    case "items":
      switch value {
      case .map(let map): return try pairs(of: map)
      case .undefined: return try list([])
      default: throw fault("the filter 'items' takes a dictionary, found \(value.kindName)")
      }
    case "attr":
      guard let field = values.text(0, "name") else { throw fault("attr takes a string") }
      // The fields of a dictionary are its items, not its attributes.
      if case .map = value { return .undefined(field) }
      return try attribute(field, of: value)
    case "tojson": return .string(try json(value, try layout(values)))
    default: return try listFilter(name, value, values)
    }
  }

  private func length(_ value: TemplateValue) throws(TemplateFault) -> Int {
    switch value {
    case .string(let text):
      try charge(text.utf8.count)
      return text.unicodeScalars.count
    case .list(let list): return list.items.count
    case .map(let map): return map.entries.count
    case .loop(let state): return state.items.items.count
    case .undefined: return 0
    default: throw fault("\(value.kindName) has no length")
    }
  }

  // MARK: Numbers

  /// The number that a text holds, as Python reads it.
  private static func number(in text: String) -> Double? {
    let text = text.stripped(of: nil, atStart: true, atEnd: true).filter { $0 != "_" }.lowercased()
    let isPlain = text.utf8.allSatisfy { (0x30...0x39).contains($0) || "+-.e".utf8.contains($0) }
    let words = ["inf", "infinity", "nan"]
    guard isPlain || words.contains(text.filter { $0 != "+" && $0 != "-" }) else { return nil }
    return Double(text)
  }

  private func wholeNumber(
    _ value: TemplateValue,
    _ values: TemplateCallValues
  ) throws(TemplateFault) -> TemplateValue {
    let standard = values.value(0, "default") ?? .int(0)
    let base = values.wholeNumber(1, "base") ?? 10
    if let number = value.wholeNumber { return .int(number) }
    var number = value.number
    if case .string(let text) = value {
      try charge(text.utf8.count)
      guard (2...36).contains(base) else { throw fault("int takes a base from 2 to 36") }
      let digits = text.stripped(of: nil, atStart: true, atEnd: true).filter { $0 != "_" }
      if let whole = Int(digits, radix: base) { return .int(whole) }
      let isWhole = digits.utf8.dropFirst().allSatisfy { (0x30...0x39).contains($0) }
      if isWhole, base == 10, digits.utf8.count > 18 { throw fault("a number is too large") }
      number = Self.number(in: text)
    }
    guard let number, number.isFinite else { return standard }
    guard let whole = Int(exactly: number.rounded(.towardZero)) else {
      throw fault("a number is too large")
    }
    return .int(whole)
  }

  private func rounded(
    _ value: TemplateValue,
    _ values: TemplateCallValues
  ) throws(TemplateFault) -> TemplateValue {
    guard let number = value.number else { throw fault("round takes a number") }
    let digits = values.wholeNumber(0, "precision") ?? 0
    let method = values.text(1, "method") ?? "common"
    guard (0...15).contains(digits) else { throw fault("round takes a precision from 0 to 15") }
    guard number.isFinite else { return .double(number) }
    let scale = pow(10, Double(digits))
    switch method {
    case "common":
      if let whole = value.wholeNumber { return .int(whole) }
      guard digits > 0 else { return .double(number.rounded(.toNearestOrEven)) }
      return .double(Double(String(format: "%.\(digits)f", number)) ?? number)
    case "ceil": return .double((number * scale).rounded(.up) / scale)
    case "floor": return .double((number * scale).rounded(.down) / scale)
    default: throw fault("round takes 'common', 'ceil' or 'floor'")
    }
  }

  // MARK: JSON

  /// The arguments of `tojson`, in the order that Hugging Face's version of it has.
  private func layout(_ values: TemplateCallValues) throws(TemplateFault) -> JSONLayout {
    var layout = JSONLayout()
    layout.isASCII = values.value(0, "ensure_ascii")?.isTrue ?? false
    layout.sortsKeys = values.value(3, "sort_keys")?.isTrue ?? false
    switch values.value(1, "indent") {
    case nil, TemplateValue.none?: break
    case .string(let text)?: layout.indent = text
    case let width?:
      guard let count = width.wholeNumber else {
        throw fault("the indent of tojson is \(width.kindName); expected a whole number")
      }
      layout.indent = try repeated(" ", count)
    }
    if layout.indent != nil { layout.itemSeparator = "," }
    switch values.value(2, "separators") {
    case nil, TemplateValue.none?: break
    case .list(let list)?:
      guard list.items.count == 2, case .string(let item) = list.items[0],
        case .string(let key) = list.items[1]
      else { fallthrough }
      (layout.itemSeparator, layout.keySeparator) = (item, key)
    default: throw fault("the separators of tojson are two strings")
    }
    return layout
  }
}
