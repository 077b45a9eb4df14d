// SPDX-License-Identifier: Apache-2.0
// Texts that are filled in or filled up: `%`, `format()`, `center()`, the filter `indent`.

extension TemplateEvaluator {
  /// Python's `text % values`, with %s, %d, %i, %r and %%.
  func percentFormat(
    _ text: String,
    _ values: TemplateValue
  ) throws(TemplateFault) -> String {
    var arguments = [values][...]
    if case .list(let list) = values, list.isTuple { arguments = list.items[...] }
    try charge(text.utf8.count, times: TemplateLimits.characterCost)
    var out = ""
    var scalars = text.unicodeScalars[...]
    while let scalar = scalars.popFirst() {
      guard scalar == "%" else {
        out.unicodeScalars.append(scalar)
        continue
      }
      guard let kind = scalars.popFirst() else { throw fault("a format ends in '%'") }
      if kind == "%" {
        out += "%"
        continue
      }
      guard let value = arguments.popFirst() else { throw fault("a format has too few values") }
      let part: String
      switch kind {
      case "s": part = try self.text(of: value)
      case "r": part = try self.text(of: .list(TemplateList([value]))).dropEnds
      case "d", "i":
        guard let number = value.number?.rounded(.towardZero), let whole = Int(exactly: number)
        else { throw fault("'%\(kind)' cannot format \(value.kindName)") }
        part = String(value.wholeNumber ?? whole)
      default: throw fault("the format '%\(kind)' is not supported")
      }
      try charge(part.utf8.count)
      out += part
    }
    guard arguments.isEmpty else { throw fault("a format has too many values") }
    return out
  }

  /// Python's `text.format(values)`, with `{}`, `{0}` and `{name}`.
  func braceFormat(
    _ text: String,
    _ values: TemplateCallValues
  ) throws(TemplateFault) -> String {
    try charge(text.utf8.count, times: TemplateLimits.characterCost)
    var out = ""
    var next = 0
    var scalars = text.unicodeScalars[...]
    while let scalar = scalars.popFirst() {
      guard scalar == "{" || scalar == "}" else {
        out.unicodeScalars.append(scalar)
        continue
      }
      if scalars.first == scalar {
        scalars.removeFirst()
        out.unicodeScalars.append(scalar)
        continue
      }
      guard scalar == "{", let end = scalars.firstIndex(of: "}") else {
        throw fault("format() finds a single '\(scalar)'")
      }
      let field = String(scalars[..<end])
      scalars = scalars[scalars.index(after: end)...]
      let value: TemplateValue?
      if field.isEmpty {
        value = next < values.positional.count ? values.positional[next] : nil
        next += 1
      } else if let number = Int(field) {
        value = values.positional.indices.contains(number) ? values.positional[number] : nil
      } else {
        try charge(values.named.count, times: TemplateLimits.stepCost)
        value = values.named.first { $0.key.isSame(as: field) }?.value
      }
      guard let value else { throw fault("format() has no value for '{\(field.prefix(40))}'") }
      let part = try self.text(of: value)
      try charge(part.utf8.count)
      out += part
    }
    return out
  }

  /// `center`, `ljust`, `rjust` and `zfill`: a text of at least so many characters.
  func padded(
    _ name: String,
    _ text: String,
    _ values: TemplateCallValues
  ) throws(TemplateFault) -> String {
    guard let width = values.wholeNumber(0, "width") ?? (name == "center" ? 80 : nil) else {
      throw fault("\(name)() takes a whole number")
    }
    let fill = name == "zfill" ? "0" : values.text(1, "fillchar") ?? " "
    guard fill.unicodeScalars.count == 1 else { throw fault("\(name)() fills with one character") }
    try charge(text.utf8.count, times: 2)
    let length = text.unicodeScalars.count
    guard width > length else { return text }
    let missing = width - length
    try charge(missing, times: fill.utf8.count)
    func filled(_ count: Int) -> String { String(repeating: fill, count: count) }
    switch name {
    case "ljust": return text + filled(missing)
    case "rjust": return filled(missing) + text
    case "zfill":
      let sign = text.unicodeScalars.first.flatMap { "+-".unicodeScalars.contains($0) ? $0 : nil }
      guard let sign else { return filled(missing) + text }
      return String(Character(sign)) + filled(missing) + String(text.unicodeScalars.dropFirst())
    default:
      let left = missing / 2 + (missing & width & 1)
      return filled(left) + text + filled(missing - left)
    }
  }

  /// The filter `indent`: blanks before every line but the first.
  func indented(_ text: String, _ values: TemplateCallValues) throws(TemplateFault) -> String {
    let indent: String
    switch values.value(0, "width") {
    case nil: indent = "    "
    case .string(let text)?: indent = text
    case let width?:
      guard let count = width.wholeNumber else { throw fault("indent takes a whole number") }
      indent = try repeated(" ", count)
    }
    let isFirst = values.value(1, "first")?.isTrue ?? false
    let isBlank = values.value(2, "blank")?.isTrue ?? false
    try charge(text.utf8.count, times: TemplateLimits.itemCost)
    let lines = (text + "\n").lines
    try charge(lines.count, times: indent.utf8.count)
    var out = isFirst ? indent : ""
    for (index, line) in lines.enumerated() {
      if index > 0 { out += isBlank || !line.isEmpty ? "\n" + indent : "\n" }
      out += line
    }
    return out
  }
}

extension String {
  /// The text without its first and last character.
  fileprivate var dropEnds: String { String(unicodeScalars.dropFirst().dropLast()) }
}
