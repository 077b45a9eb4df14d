// SPDX-License-Identifier: Apache-2.0
// The methods of strings. Each pays for the text that it reads and for the text that it makes.

extension TemplateEvaluator {
  /// Calls a method of a text; nil where it is not supported.
  func stringMethod(
    _ name: String,
    of text: String,
    _ values: TemplateCallValues
  ) throws(TemplateFault) -> TemplateValue? {
    switch name {
    case "strip", "lstrip", "rstrip":
      return .string(
        try stripped(
          text,
          of: values.value(0, "chars"),
          atStart: name != "rstrip",
          atEnd: name != "lstrip"
        )
      )
    case "split", "rsplit": return try split(text, values, fromEnd: name == "rsplit")
    case "splitlines":
      try charge(text.utf8.count, times: TemplateLimits.itemCost)
      return try list(text.lines.map { .string($0) })
    case "partition", "rpartition":
      return try partition(text, values, fromEnd: name == "rpartition")
    case "startswith", "endswith": return .bool(try hasEnd(name, text, values))
    case "removeprefix", "removesuffix": return .string(try removed(name, text, values))
    case "upper", "lower", "title", "capitalize": return .string(try recased(name, text))
    case "replace": return .string(try replace(text, values))
    case "find", "index", "rfind", "rindex", "count": return try find(name, text, values)
    case "join":
      guard let items = values.value(0, "iterable") else { throw fault("join() takes a list") }
      return .string(try join(items, separator: text))
    case "format": return .string(try braceFormat(text, values))
    case "center", "ljust", "rjust", "zfill": return .string(try padded(name, text, values))
    default: return try question(name, text)
    }
  }

  private func question(_ name: String, _ text: String) throws(TemplateFault) -> TemplateValue? {
    let isOfKind: (Unicode.Scalar.Properties) -> Bool
    switch name {
    case "isdigit", "isdecimal", "isnumeric": isOfKind = { $0.numericType != nil }
    case "isspace": isOfKind = { $0.isWhitespace }
    case "isalpha": isOfKind = { $0.isAlphabetic }
    case "isalnum": isOfKind = { $0.isAlphabetic || $0.numericType != nil }
    case "isupper", "islower":
      try charge(text.utf8.count, times: 3 * TemplateLimits.characterCost)
      let isCased = text.unicodeScalars.contains { $0.properties.isCased }
      let recased = try recased(String(name.dropFirst(2)), text)
      return .bool(isCased && text.isSame(as: recased))
    default: return nil
    }
    try charge(text.utf8.count, times: TemplateLimits.characterCost)
    return .bool(text.consists(of: isOfKind))
  }

  /// A text without the given characters, or white space, at its ends.
  func stripped(
    _ text: String,
    of set: TemplateValue?,
    atStart: Bool = true,
    atEnd: Bool = true
  ) throws(TemplateFault) -> String {
    try charge(text.utf8.count)
    guard let set else { return text.stripped(of: nil, atStart: atStart, atEnd: atEnd) }
    switch set {
    case .none: return text.stripped(of: nil, atStart: atStart, atEnd: atEnd)
    case .string(let members):
      try charge(text.utf8.count, times: TemplateLimits.characterCost)
      try charge(members.utf8.count, times: TemplateLimits.itemCost)
      return text.stripped(of: members, atStart: atStart, atEnd: atEnd)
    default: throw fault("strip() takes a string, found \(set.kindName)")
    }
  }

  /// A text in other letters; the name is that of the method.
  func recased(_ name: String, _ text: String) throws(TemplateFault) -> String {
    // One character may become three, as in 'ΐ'.
    try charge(text.utf8.count, times: TemplateLimits.characterCost)
    switch name {
    case "upper": return text.uppercased()
    case "lower": return text.lowercased()
    case "capitalize": return text.capitalisedSentence
    default: return text.capitalisedWords
    }
  }

  // MARK: Finding

  /// Where a text first stands in another, in bytes.
  func firstOccurrence(
    of part: String,
    in text: String
  ) throws(TemplateFault) -> Int? {
    try charge(part.utf8.count, times: TemplateLimits.characterCost)
    try charge(text.utf8.count, times: 2)
    return TextPattern(Array(part.utf8)).first(in: Array(text.utf8))
  }

  private func find(
    _ name: String,
    _ text: String,
    _ values: TemplateCallValues
  ) throws(TemplateFault) -> TemplateValue {
    guard let part = values.text(0, "sub"), values.positional.count == 1 else {
      throw fault("\(name)() takes one string")
    }
    try charge(part.utf8.count, times: 2 * TemplateLimits.characterCost)
    try charge(text.utf8.count, times: TemplateLimits.characterCost)
    let (bytes, pattern) = (Array(text.utf8), Array(part.utf8))
    if name == "count" {
      guard !part.isEmpty else { return .int(text.unicodeScalars.count + 1) }
      return .int(TextPattern(pattern).all(in: bytes, limit: .max).count)
    }
    let isLast = name.hasPrefix("r")
    let found =
      isLast
      ? TextPattern(pattern.reversed()).first(in: bytes.reversed())
        .map { bytes.count - $0 - pattern.count }
      : TextPattern(pattern).first(in: bytes)
    guard let found else {
      guard name.hasSuffix("find") else { throw fault("\(name)() finds no such text") }
      return .int(-1)
    }
    return .int(String(decoding: bytes[..<found], as: UTF8.self).unicodeScalars.count)
  }

  private func hasEnd(
    _ name: String,
    _ text: String,
    _ values: TemplateCallValues
  ) throws(TemplateFault) -> Bool {
    let candidates: [TemplateValue]
    switch values.value(0, "prefix") {
    case .list(let several)?: candidates = several.items
    case let single?: candidates = [single]
    case nil: throw fault("\(name)() takes a string")
    }
    for candidate in candidates {
      guard case .string(let part) = candidate else {
        throw fault("\(name)() takes a string, found \(candidate.kindName)")
      }
      try charge(part.utf8.count)
      try charge(1, times: TemplateLimits.stepCost)
      guard part.utf8.count <= text.utf8.count else { continue }
      let isThere =
        name == "startswith"
        ? text.utf8.starts(with: part.utf8)
        : text.utf8.suffix(part.utf8.count).elementsEqual(part.utf8)
      if isThere { return true }
    }
    return false
  }

  private func removed(
    _ name: String,
    _ text: String,
    _ values: TemplateCallValues
  ) throws(TemplateFault) -> String {
    guard let part = values.text(0, "prefix") else { throw fault("\(name)() takes a string") }
    try charge(text.utf8.count)
    let isPrefix = name == "removeprefix"
    guard try hasEnd(isPrefix ? "startswith" : "endswith", text, values) else { return text }
    let rest =
      isPrefix ? text.utf8.dropFirst(part.utf8.count) : text.utf8.dropLast(part.utf8.count)
    return String(rest) ?? text
  }

  // MARK: Cutting and joining

  private func split(
    _ text: String,
    _ values: TemplateCallValues,
    fromEnd: Bool
  ) throws(TemplateFault) -> TemplateValue {
    let most = values.wholeNumber(1, "maxsplit") ?? -1
    let limit = most < 0 ? Int.max : most
    switch values.value(0, "sep") {
    case nil, TemplateValue.none?:
      guard !fromEnd || limit == .max else {
        throw fault("rsplit() with a limit takes a separator")
      }
      try charge(text.utf8.count, times: TemplateLimits.itemCost)
      return try list(text.words(limit: limit).map { .string($0) })
    case .string(let separator)? where !separator.isEmpty:
      let parts = try parts(of: text, separator: separator, limit: limit, fromEnd: fromEnd)
      return try list(parts.map { .string($0) })
    default: throw fault("split() takes a string that is not empty")
    }
  }

  /// The parts between occurrences of a separator that is not empty, at most `limit` cuts.
  private func parts(
    of text: String,
    separator: String,
    limit: Int,
    fromEnd: Bool = false
  ) throws(TemplateFault) -> [String] {
    try charge(separator.utf8.count, times: TemplateLimits.characterCost)
    try charge(text.utf8.count, times: 4)
    var bytes = Array(text.utf8)
    let width = separator.utf8.count
    let pattern = Array(separator.utf8)
    if fromEnd { bytes.reverse() }
    var places = TextPattern(fromEnd ? pattern.reversed() : pattern).all(in: bytes, limit: limit)
    try charge(places.count, times: 2 * TemplateLimits.itemCost)
    if fromEnd {
      bytes.reverse()
      places = places.reversed().map { bytes.count - $0 - width }
    }
    var parts: [String] = []
    var start = 0
    for place in places {
      parts.append(String(decoding: bytes[start..<place], as: UTF8.self))
      start = place + width
    }
    parts.append(String(decoding: bytes[start...], as: UTF8.self))
    return parts
  }

  private func partition(
    _ text: String,
    _ values: TemplateCallValues,
    fromEnd: Bool
  ) throws(TemplateFault) -> TemplateValue {
    guard let separator = values.text(0, "sep"), !separator.isEmpty else {
      throw fault("partition() takes a string that is not empty")
    }
    let parts = try parts(of: text, separator: separator, limit: 1, fromEnd: fromEnd)
    let found =
      parts.count == 2
      ? [parts[0], separator, parts[1]] : fromEnd ? ["", "", text] : [text, "", ""]
    return try list(found.map { .string($0) }, isTuple: true)
  }

  /// Replaces a part of a text; an empty part stands between all characters.
  func replace(_ text: String, _ values: TemplateCallValues) throws(TemplateFault) -> String {
    guard let old = values.value(0, "old"), let new = values.value(1, "new") else {
      throw fault("replace takes two strings")
    }
    guard case .string(let old) = old, case .string(let new) = new else {
      throw fault("replace takes two strings, found \(old.kindName) and \(new.kindName)")
    }
    let most = values.wholeNumber(2, "count") ?? -1
    let limit = most < 0 ? Int.max : most
    try charge(old.utf8.count, times: TemplateLimits.characterCost)
    try charge(text.utf8.count, times: TemplateLimits.characterCost)
    let bytes = Array(text.utf8)
    let places =
      old.isEmpty
      ? Array(Self.boundaries(of: bytes).prefix(limit))
      : TextPattern(Array(old.utf8)).all(in: bytes, limit: limit)
    try charge(places.count, times: new.utf8.count)
    try charge(text.utf8.count)
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count + places.count * max(0, new.utf8.count - old.utf8.count))
    var start = 0
    for place in places {
      result += bytes[start..<place]
      result += new.utf8
      start = place + old.utf8.count
    }
    result += bytes[start...]
    return String(decoding: result, as: UTF8.self)
  }

  /// Where characters begin, and the end.
  private static func boundaries(of bytes: [UInt8]) -> [Int] {
    bytes.indices.filter { bytes[$0] & 0xC0 != 0x80 } + [bytes.count]
  }

  /// The texts of a list with a text between them.
  func join(_ value: TemplateValue, separator: String) throws(TemplateFault) -> String {
    let items = try items(of: value)
    try charge(items.count, times: TemplateLimits.itemCost)
    try charge(items.count, times: separator.utf8.count)
    var texts: [String] = []
    for item in items {
      let text = try text(of: item)
      try charge(text.utf8.count)
      texts.append(text)
    }
    return texts.joined(separator: separator)
  }
}
