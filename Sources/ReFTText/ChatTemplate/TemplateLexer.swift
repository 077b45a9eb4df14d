// SPDX-License-Identifier: Apache-2.0
// Cuts a template into text and the tokens inside of tags, and applies Jinja's rules for white space:
// trim_blocks and lstrip_blocks are on, one newline at the end of the template is dropped.

/// A piece of a template.
struct TemplateToken {
  enum Kind: Equatable {
    case text(String)
    case beginBlock, endBlock, beginOutput, endOutput
    case name(String)
    case string(String)
    case int(Int)
    case double(Double)
    case symbol(String)
    case end
  }

  var kind: Kind
  var line: Int
}

/// What a template's white space is.
enum TemplateStyle: Sendable {
  /// As Hugging Face renders chats: trim_blocks and lstrip_blocks are on, the last newline goes.
  case chat
  /// As it is written: only `-` takes white space away.
  case verbatim
}

/// Reads a template from front to back.
struct TemplateLexer {
  private let source: [Unicode.Scalar]
  private let style: TemplateStyle
  private var index = 0
  private var line = 1
  private var tokens: [TemplateToken] = []
  /// Whether what comes next starts a line of the source, as seen by lstrip_blocks.
  private var isAtLineStart = true

  /// All tokens of a template, with `end` as the last.
  static func tokens(
    of source: String,
    style: TemplateStyle = .chat
  ) throws(TemplateFault) -> [TemplateToken] {
    guard source.utf8.count <= TemplateLimits.longestTemplate else {
      throw TemplateFault(
        line: 1,
        message: "the template has \(source.utf8.count) bytes; "
          + "at most \(TemplateLimits.longestTemplate) are read"
      )
    }
    var lexer = TemplateLexer(source, style)
    try lexer.run()
    return lexer.tokens
  }

  private init(_ text: String, _ style: TemplateStyle) {
    self.style = style
    var source: [Unicode.Scalar] = []
    for scalar in text.unicodeScalars {
      if scalar == "\n", source.last == "\r" {
        source[source.count - 1] = "\n"
      } else {
        source.append(scalar)
      }
    }
    // A "\r" that is still there stands alone; it is a line break as well.
    source = source.map { $0 == "\r" ? "\n" : $0 }
    if style == .chat, source.last == "\n" { source.removeLast() }
    self.source = source
  }

  private mutating func run() throws(TemplateFault) {
    while index < source.count {
      guard let tag = nextTag() else { break }
      let textEnd = trimmedTextEnd(before: tag)
      emitText(to: textEnd)
      advance(to: tag + 2)
      if index < source.count, source[index] == "-" || source[index] == "+" { index += 1 }
      switch source[tag + 1] {
      case "#": try skipComment()
      case "%" where name(at: index) == "raw": try lexRaw()
      case "{": try lexTag(close: "}", begin: .beginOutput, end: .endOutput)
      default: try lexTag(close: "%", begin: .beginBlock, end: .endBlock)
      }
    }
    emitText(to: source.count)
    emit(.end)
  }

  // MARK: Text

  private func nextTag() -> Int? {
    var at = index
    while at + 1 < source.count {
      if source[at] == "{", source[at + 1] == "{" || source[at + 1] == "%" || source[at + 1] == "#"
      {
        return at
      }
      at += 1
    }
    return nil
  }

  /// Where the text before a tag ends once the white space is gone that the tag takes with it.
  private func trimmedTextEnd(before tag: Int) -> Int {
    let sign = tag + 2 < source.count ? source[tag + 2] : " "
    var end = tag
    if sign == "-" {
      while end > index, source[end - 1].properties.isWhitespace { end -= 1 }
      return end
    }
    guard style == .chat, sign != "+", source[tag + 1] != "{" else { return tag }
    while end > index, source[end - 1] != "\n", source[end - 1].properties.isWhitespace { end -= 1 }
    let startsLine = end > index ? source[end - 1] == "\n" : isAtLineStart
    return startsLine ? end : tag
  }

  private mutating func emitText(to end: Int) {
    guard end > index else { return }
    var text = String.UnicodeScalarView()
    text.append(contentsOf: source[index..<end])
    emit(.text(String(text)))
    advance(to: end)
  }

  private mutating func advance(to end: Int) {
    for scalar in source[index..<max(index, end)] where scalar == "\n" { line += 1 }
    index = max(index, end)
  }

  private mutating func emit(_ kind: TemplateToken.Kind) {
    tokens.append(TemplateToken(kind: kind, line: line))
  }

  // MARK: Tags

  private func fault(_ message: String) -> TemplateFault {
    TemplateFault(line: line, message: message)
  }

  private mutating func skipComment() throws(TemplateFault) {
    var at = index
    while at + 1 < source.count, !(source[at] == "#" && source[at + 1] == "}") { at += 1 }
    guard at + 1 < source.count else { throw fault("a comment '{#' has no '#}'; close it") }
    let sign = at > index && (source[at - 1] == "-" || source[at - 1] == "+") ? source[at - 1] : nil
    advance(to: at + 2)
    trimAfterTag(sign: sign, isOutput: false)
  }

  /// Drops the white space that a tag takes with it: all of it after `-`, else one newline after
  /// blocks and comments.
  private mutating func trimAfterTag(sign: Unicode.Scalar?, isOutput: Bool) {
    var end = index
    if sign == "-" {
      while end < source.count, source[end].properties.isWhitespace { end += 1 }
    } else if style == .chat, sign == nil, !isOutput, end < source.count, source[end] == "\n" {
      end += 1
    }
    isAtLineStart = end > index && source[end - 1] == "\n"
    advance(to: end)
  }

  private mutating func lexTag(
    close: Unicode.Scalar,
    begin: TemplateToken.Kind,
    end: TemplateToken.Kind
  ) throws(TemplateFault) {
    emit(begin)
    var closers: [String] = []
    while true {
      while index < source.count, source[index].properties.isWhitespace { advance(to: index + 1) }
      guard index < source.count else { throw fault("a tag is not closed; add '\(close)}'") }
      let sign = source[index] == "-" || source[index] == "+" ? source[index] : nil
      let mark = sign == nil ? index : index + 1
      // Inside of brackets '}' and '}}' close dictionaries, not the tag.
      if closers.isEmpty, mark + 1 < source.count, source[mark] == close, source[mark + 1] == "}" {
        emit(end)
        advance(to: mark + 2)
        trimAfterTag(sign: sign, isOutput: close == "}")
        return
      }
      try lexToken()
      if case .symbol(let symbol) = tokens[tokens.count - 1].kind {
        if let closer = ["(": ")", "[": "]", "{": "}"][symbol] { closers.append(closer) }
        if [")", "]", "}"].contains(symbol) {
          guard let closer = closers.popLast() else { throw fault("'\(symbol)' closes nothing") }
          guard closer == symbol else { throw fault("expected '\(closer)', found '\(symbol)'") }
        }
      }
    }
  }

  // MARK: Raw text

  /// The name that stands at a place, after blanks; nil where there is none.
  private func name(at index: Int) -> String? {
    var start = index
    while start < source.count, source[start].properties.isWhitespace { start += 1 }
    var end = start
    while end < source.count, end - start < 16, source[end].properties.isAlphabetic { end += 1 }
    return end > start ? text(start..<end) : nil
  }

  /// The sign and the end of a tag that closes at `index`, after blanks.
  private func closing(at index: Int) -> (sign: Unicode.Scalar?, end: Int)? {
    var at = index
    while at < source.count, source[at].properties.isWhitespace { at += 1 }
    var sign: Unicode.Scalar?
    if at < source.count, source[at] == "-" || source[at] == "+" {
      sign = source[at]
      at += 1
    }
    guard at + 1 < source.count, source[at] == "%", source[at + 1] == "}" else { return nil }
    return (sign, at + 2)
  }

  /// Reads `{% raw %}…{% endraw %}`, in which tags are text.
  private mutating func lexRaw() throws(TemplateFault) {
    let name = "raw".unicodeScalars.count
    while source[index].properties.isWhitespace { advance(to: index + 1) }
    guard let opening = closing(at: index + name) else { throw fault("'{% raw' is not closed") }
    advance(to: opening.end)
    trimAfterTag(sign: opening.sign, isOutput: false)
    var at = index
    while at + 1 < source.count {
      if source[at] == "{", source[at + 1] == "%" {
        var start = at + 2
        if start < source.count, source[start] == "-" || source[start] == "+" { start += 1 }
        if self.name(at: start) == "endraw" {
          while source[start].properties.isWhitespace { start += 1 }
          guard let end = closing(at: start + 6) else { throw fault("'{% endraw' is not closed") }
          emitText(to: trimmedTextEnd(before: at))
          advance(to: end.end)
          trimAfterTag(sign: end.sign, isOutput: false)
          return
        }
      }
      at += 1
    }
    throw fault("the block '{% raw %}' from here on lacks '{% endraw %}'")
  }

  // MARK: Tokens inside of tags

  private static let symbols = [
    "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "(", ")", "[", "]", "{", "}",
    ",", ":", ".", "|", "<", ">", "=",
  ]

  private mutating func lexToken() throws(TemplateFault) {
    let first = source[index]
    if first == "\"" || first == "'" { return try lexString(quote: first) }
    if Self.isDigit(first) { return try lexNumber() }
    if first == "_" || first.properties.isAlphabetic { return lexName() }
    for symbol in Self.symbols {
      let scalars = Array(symbol.unicodeScalars)
      if source[index...].starts(with: scalars) {
        emit(.symbol(symbol))
        advance(to: index + scalars.count)
        return
      }
    }
    throw fault("'\(first)' cannot stand here; expected an expression")
  }

  private static func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }

  private mutating func lexName() {
    var end = index
    while end < source.count,
      source[end] == "_" || source[end].properties.isAlphabetic || Self.isDigit(source[end])
    {
      end += 1
    }
    emit(.name(text(index..<end)))
    advance(to: end)
  }

  private mutating func lexNumber() throws(TemplateFault) {
    var end = index
    func skipDigits() {
      while end < source.count,
        Self.isDigit(source[end])
          || source[end] == "_" && end + 1 < source.count && Self.isDigit(source[end + 1])
      {
        end += 1
      }
    }
    skipDigits()
    var isWhole = true
    if end + 1 < source.count, source[end] == ".", Self.isDigit(source[end + 1]) {
      isWhole = false
      end += 1
      skipDigits()
    }
    if let exponent = exponentStart(at: end) {
      isWhole = false
      end = exponent
      skipDigits()
    }
    let digits = text(index..<end).filter { $0 != "_" }
    if isWhole {
      guard let value = Int(digits) else {
        throw fault("the number \(digits.prefix(40)) is too large")
      }
      emit(.int(value))
    } else {
      guard let value = Double(digits) else { throw fault("'\(digits)' is no number") }
      emit(.double(value))
    }
    advance(to: end)
  }

  /// Where the digits of an exponent begin whose "e" is at `index`, or nil.
  private func exponentStart(at index: Int) -> Int? {
    guard index < source.count, source[index] == "e" || source[index] == "E" else { return nil }
    var start = index + 1
    if start < source.count, source[start] == "-" || source[start] == "+" { start += 1 }
    return start < source.count && Self.isDigit(source[start]) ? start : nil
  }

  private func text(_ range: Range<Int>) -> String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: source[range])
    return String(view)
  }

  private mutating func lexString(quote: Unicode.Scalar) throws(TemplateFault) {
    var value = String.UnicodeScalarView()
    var at = index + 1
    while at < source.count, source[at] != quote {
      guard source[at] == "\\", at + 1 < source.count else {
        value.append(source[at])
        at += 1
        continue
      }
      at = try unescape(at: at + 1, into: &value)
    }
    guard at < source.count else { throw fault("a string is not closed; add \(quote)") }
    emit(.string(String(value)))
    advance(to: at + 1)
  }

  /// Appends what stands after a backslash, as in Python, and returns where it ends.
  private func unescape(
    at index: Int,
    into value: inout String.UnicodeScalarView
  ) throws(TemplateFault) -> Int {
    let simple: [Unicode.Scalar: Unicode.Scalar] = [
      "n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", "\"": "\"", "0": "\0", "a": "\u{7}",
      "b": "\u{8}", "f": "\u{C}", "v": "\u{B}",
    ]
    let scalar = source[index]
    if scalar == "\n" { return index + 1 }
    if let meaning = simple[scalar] {
      value.append(meaning)
      return index + 1
    }
    let lengths: [Unicode.Scalar: Int] = ["x": 2, "u": 4, "U": 8]
    guard let length = lengths[scalar] else {
      value.append("\\")
      value.append(scalar)
      return index + 1
    }
    let end = index + 1 + length
    guard end <= source.count, let number = UInt32(text(index + 1..<end), radix: 16),
      let meaning = Unicode.Scalar(number)
    else { throw fault("'\\\(scalar)' needs \(length) hexadecimal digits of a character") }
    value.append(meaning)
    return end
  }
}
