// SPDX-License-Identifier: Apache-2.0
// The text form of position rules.

import ReFTTensor

/// Reads the text of one position rule.
struct PositionRuleParser {
  private let text: String

  init(_ text: String) { self.text = text }

  /// The largest count or index that a rule may name; positions are 32-bit across the plugin ABI.
  private static let limit = Int(Int32.max)

  func parse() throws(ReFTError) -> PositionRule {
    var body = text.drop { $0 == " " }
    while body.last == " " { body.removeLast() }
    let decodes = body.hasSuffix("+decode")
    if decodes { body.removeLast("+decode".count) }
    return PositionRule(try selection(body), editsDecodedTokens: decodes)
  }

  private func selection(_ body: Substring) throws(ReFTError) -> PositionRule.Selection {
    switch body {
    case "none": return .none
    case "all": return .all
    default: break
    }
    if body.hasPrefix("every:") {
      return .every(try count(body.dropFirst("every:".count), of: "every:"))
    }
    if body.hasPrefix("after:") {
      return .after(try unquoted(body.dropFirst("after:".count)))
    }
    if body.hasPrefix("["), body.hasSuffix("]") {
      return .indices(try indices(body.dropFirst().dropLast()))
    }
    return try ends(body)
  }

  private func ends(_ body: Substring) throws(ReFTError) -> PositionRule.Selection {
    let parts = body.split(separator: "+", omittingEmptySubsequences: false)
    switch (parts.count, parts.first?.first, parts.last?.first) {
    case (1, "f", _): return .ends(first: try count(parts[0].dropFirst(), of: "f"), last: 0)
    case (1, "l", _): return .ends(first: 0, last: try count(parts[0].dropFirst(), of: "l"))
    case (2, "f", "l"):
      return .ends(
        first: try count(parts[0].dropFirst(), of: "f"),
        last: try count(parts[1].dropFirst(), of: "l")
      )
    case (2, "l", "f"): throw .badPositions(text, reason: "the first tokens stand first: f…+l…")
    default: throw .badPositions(text, reason: "it has none of the known forms")
    }
  }

  private func count(_ digits: Substring, of name: String) throws(ReFTError) -> Int {
    guard digits.allSatisfy({ $0.isASCII && $0.isNumber }), let value = Int(digits),
      (1...Self.limit).contains(value)
    else {
      throw .badPositions(
        text,
        reason: "'\(name)' wants a whole number from 1 to \(Self.limit), not '\(digits)'"
      )
    }
    return value
  }

  private func indices(_ list: Substring) throws(ReFTError) -> [Int] {
    var result: [Int] = []
    var seen: Set<Int> = []
    for item in list.split(separator: ",", omittingEmptySubsequences: false) {
      let trimmed = String(item.filter { $0 != " " })
      guard let value = Int(trimmed), (-Self.limit...Self.limit).contains(value) else {
        throw .badPositions(text, reason: "'\(item)' is not a token index")
      }
      guard seen.insert(value).inserted else {
        throw .badPositions(text, reason: "index \(value) stands there twice")
      }
      result.append(value)
    }
    return result
  }

  private func unquoted(_ body: Substring) throws(ReFTError) -> String {
    guard body.count >= 2, body.first == "\"", body.last == "\"" else {
      throw .badPositions(text, reason: "'after:' wants a text in double quotes")
    }
    var result = ""
    var isEscaped = false
    for character in body.dropFirst().dropLast() {
      if isEscaped {
        guard let plain = Self.escapes[character] else {
          throw .badPositions(text, reason: "'\\\(character)' is no escape; use \\\" \\\\ \\n \\t")
        }
        result.append(plain)
        isEscaped = false
      } else if character == "\\" {
        isEscaped = true
      } else if character == "\"" {
        throw .badPositions(text, reason: "a double quote inside the text is written \\\"")
      } else {
        result.append(character)
      }
    }
    guard !isEscaped else {
      throw .badPositions(text, reason: "the closing double quote is missing")
    }
    guard !result.isEmpty else { throw .badPositions(text, reason: "the text is empty") }
    return result
  }

  private static let escapes: [Character: Character] = [
    "\"": "\"", "\\": "\\", "n": "\n", "t": "\t",
  ]

  /// The quoted form of a text, which `unquoted` reads back.
  static func quoted(_ text: String) -> String {
    var result = "\""
    for character in text {
      switch character {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      default: result.append(character)
      }
    }
    return result + "\""
  }
}
