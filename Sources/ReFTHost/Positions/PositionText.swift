// SPDX-License-Identifier: Apache-2.0
// Quoted texts in position rules, and where their parts end.

/// Quoted texts of position rules.
enum PositionText {
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

  /// The text in double quotes, or what is wrong with it.
  static func unquoted(_ body: Substring) -> Result<String, Fault> {
    guard body.count >= 2, body.first == "\"", body.last == "\"" else {
      return .failure(Fault("a text stands in double quotes, not '\(body)'"))
    }
    var result = ""
    var isEscaped = false
    for character in body.dropFirst().dropLast() {
      if isEscaped {
        guard let plain = escapes[character] else {
          return .failure(Fault("'\\\(character)' is no escape; use \\\" \\\\ \\n \\t"))
        }
        result.append(plain)
        isEscaped = false
      } else if character == "\\" {
        isEscaped = true
      } else if character == "\"" {
        return .failure(Fault("a double quote inside the text is written \\\""))
      } else {
        result.append(character)
      }
    }
    if isEscaped { return .failure(Fault("the closing double quote is missing")) }
    return result.isEmpty ? .failure(Fault("the text is empty")) : .success(result)
  }

  /// What is wrong with a text.
  struct Fault: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
  }

  /// The pieces between separators that stand neither in quotes nor in brackets.
  static func split(_ text: Substring, at separator: Character) -> [Substring] {
    var pieces: [Substring] = []
    var start = text.startIndex
    var (isQuoted, isEscaped, depth) = (false, false, 0)
    for index in text.indices {
      let character = text[index]
      switch character {
      case _ where isEscaped: isEscaped = false
      case "\\" where isQuoted: isEscaped = true
      case "\"": isQuoted.toggle()
      case "[" where !isQuoted: depth += 1
      case "]" where !isQuoted: depth -= 1
      case separator where !isQuoted && depth == 0:
        pieces.append(text[start..<index])
        start = text.index(after: index)
      default: break
      }
    }
    return pieces + [text[start...]]
  }
}
