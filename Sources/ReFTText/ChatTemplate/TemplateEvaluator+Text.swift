// SPDX-License-Identifier: Apache-2.0
// How values print: as Python does between the braces of a template, and as JSON.

extension TemplateEvaluator {
  /// How JSON is laid out.
  struct JSONLayout {
    /// What stands before each level of nesting; nil: everything in one line.
    var indent: String?
    var itemSeparator = ", "
    var keySeparator = ": "
    var isASCII = false
    var sortsKeys = false
  }

  /// The value as `{{ }}` prints it.
  func text(of value: TemplateValue) throws(TemplateFault) -> String {
    switch value {
    case .undefined: return ""
    case .string(let text): return text
    default:
      var out = ""
      try represent(value, into: &out)
      return out
    }
  }

  private func append(_ part: String, to out: inout String) throws(TemplateFault) {
    try charge(part.utf8.count)
    out += part
  }

  /// Appends the value as Python writes it inside of a list.
  private func represent(
    _ value: TemplateValue,
    into out: inout String
  ) throws(TemplateFault) {
    try charge(1, times: TemplateLimits.characterCost)
    switch value {
    case .undefined: try append("Undefined", to: &out)
    case .none: try append("None", to: &out)
    case .bool(let value): try append(value ? "True" : "False", to: &out)
    case .int(let value): try append(String(value), to: &out)
    case .double(let value): try append(Self.numberText(value), to: &out)
    case .string(let value):
      // A byte becomes four at most, as in '\x00'.
      try charge(value.utf8.count, times: 4)
      out += Self.quoted(value)
    case .list(let list):
      try append(list.isTuple ? "(" : "[", to: &out)
      for (index, item) in list.items.enumerated() {
        if index > 0 { try append(", ", to: &out) }
        try represent(item, into: &out)
      }
      if list.isTuple, list.items.count == 1 { try append(",", to: &out) }
      try append(list.isTuple ? ")" : "]", to: &out)
    case .map(let map):
      try append("{", to: &out)
      for (index, entry) in map.entries.enumerated() {
        if index > 0 { try append(", ", to: &out) }
        try represent(.string(entry.key), into: &out)
        try append(": ", to: &out)
        try represent(entry.value, into: &out)
      }
      try append("}", to: &out)
    case .namespace: try append("<Namespace>", to: &out)
    case .macro(let number):
      try append("<Macro '\(macros[number].declaration.name)'>", to: &out)
    case .loop(let state):
      try append("<LoopContext \(state.index + 1)/\(state.items.items.count)>", to: &out)
    }
  }

  /// A number as Python writes it.
  static func numberText(_ value: Double) -> String {
    guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
    let text = "\(value)"
    // Swift writes 1e+20 where Python does, but leaves out the zero in 1e-07.
    guard let mark = text.firstIndex(of: "e") else { return text }
    let sign = text[text.index(after: mark)]
    let digits = text[text.index(mark, offsetBy: 2)...]
    return text[...mark] + String(sign) + (digits.count < 2 ? "0" : "") + digits
  }

  private static func quoted(_ text: String) -> String {
    let quote = text.utf8.contains(0x27) && !text.utf8.contains(0x22) ? "\"" : "'"
    var result = quote
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "'" where quote == "'": result += "\\'"
      case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{A0}", "\u{AD}":
        result += "\\x" + hexadecimal(scalar.value, digits: 2)
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + quote
  }

  private static func hexadecimal(_ value: UInt32, digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
  }

  // MARK: JSON

  /// The value as JSON, as Python's `json.dumps` writes it.
  ///
  /// - Throws: where a value has no such form.
  func json(_ value: TemplateValue, _ layout: JSONLayout) throws(TemplateFault) -> String {
    var out = ""
    try appendJSON(value, layout, level: 0, to: &out)
    return out
  }

  private func appendJSON(
    _ value: TemplateValue,
    _ layout: JSONLayout,
    level: Int,
    to out: inout String
  ) throws(TemplateFault) {
    try charge(1, times: TemplateLimits.characterCost)
    switch value {
    case .none: try append("null", to: &out)
    case .bool(let value): try append(value ? "true" : "false", to: &out)
    case .int(let value): try append(String(value), to: &out)
    case .double(let value):
      let text = Self.numberText(value)
      let special = ["nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"]
      try append(special[text] ?? text, to: &out)
    case .string(let value): try appendJSONString(value, layout, to: &out)
    case .list(let list):
      try append("[", to: &out)
      for (index, item) in list.items.enumerated() {
        try beginItem(index, layout, level: level, to: &out)
        try appendJSON(item, layout, level: level + 1, to: &out)
      }
      try endItems(list.items.count, "]", layout, level: level, to: &out)
    case .map(let map):
      try append("{", to: &out)
      for (index, entry) in try entries(of: map, layout).enumerated() {
        try beginItem(index, layout, level: level, to: &out)
        try appendJSONString(entry.key, layout, to: &out)
        try append(layout.keySeparator, to: &out)
        try appendJSON(entry.value, layout, level: level + 1, to: &out)
      }
      try endItems(map.entries.count, "}", layout, level: level, to: &out)
    case .undefined, .namespace, .macro, .loop:
      throw fault("\(value.kindName) cannot be written as JSON")
    }
  }

  private func entries(
    of map: TemplateMap,
    _ layout: JSONLayout
  ) throws(TemplateFault) -> [TemplateMap.Entry] {
    guard layout.sortsKeys else { return map.entries }
    try charge(map.entries.count, times: 2 * TemplateLimits.itemCost)
    let keys = try sorted(
      map.entries.indices.map { (.string(map.entries[$0].key), .int($0)) },
      isReversed: false
    )
    return keys.compactMap(\.wholeNumber).map { map.entries[$0] }
  }

  private func beginItem(
    _ index: Int,
    _ layout: JSONLayout,
    level: Int,
    to out: inout String
  ) throws(TemplateFault) {
    if index > 0 { try append(layout.itemSeparator, to: &out) }
    guard let indent = layout.indent else { return }
    try append("\n", to: &out)
    for _ in 0...level { try append(indent, to: &out) }
  }

  private func endItems(
    _ count: Int,
    _ close: String,
    _ layout: JSONLayout,
    level: Int,
    to out: inout String
  ) throws(TemplateFault) {
    if count > 0, let indent = layout.indent {
      try append("\n", to: &out)
      for _ in 0..<level { try append(indent, to: &out) }
    }
    try append(close, to: &out)
  }

  private func appendJSONString(
    _ text: String,
    _ layout: JSONLayout,
    to out: inout String
  ) throws(TemplateFault) {
    // A byte becomes six at most, as in "\u0000".
    try charge(text.utf8.count, times: 6)
    try charge(2)
    out += "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      case "\u{8}": out += "\\b"
      case "\u{C}": out += "\\f"
      case "\u{0}"..."\u{1F}": out += "\\u" + Self.hexadecimal(scalar.value, digits: 4)
      default:
        guard layout.isASCII, scalar.value > 0x7E else {
          out.unicodeScalars.append(scalar)
          continue
        }
        for unit in String(Character(scalar)).utf16 {
          out += "\\u" + Self.hexadecimal(UInt32(unit), digits: 4)
        }
      }
    }
    out += "\""
  }
}
