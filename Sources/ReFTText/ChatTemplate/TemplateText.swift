// SPDX-License-Identifier: Apache-2.0
// The string functions of templates, scalar by scalar as Python has them: Swift's own would join a
// carriage return and a newline into one character and treat equivalent texts as equal. All of them
// take time in proportion to the text; the evaluator pays for it before it calls them.

/// A text to look for, found in time proportional to the text that is searched.
struct TextPattern {
  let bytes: [UInt8]
  /// For each length of a match, the longest part of it that begins the pattern again.
  private let borders: [Int]

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    var borders = [Int](repeating: 0, count: bytes.count + 1)
    var length = 0
    for index in bytes.indices.dropFirst() {
      while length > 0, bytes[index] != bytes[length] { length = borders[length] }
      if bytes[index] == bytes[length] { length += 1 }
      borders[index + 1] = length
    }
    self.borders = borders
  }

  /// Where the pattern first stands at or after `start`.
  func first(in text: [UInt8], from start: Int = 0) -> Int? {
    guard !bytes.isEmpty else { return start <= text.count ? start : nil }
    var length = 0
    var index = start
    while index < text.count {
      while length > 0, text[index] != bytes[length] { length = borders[length] }
      if text[index] == bytes[length] { length += 1 }
      index += 1
      if length == bytes.count { return index - length }
    }
    return nil
  }

  /// The places of the pattern, which is not empty, without overlaps; at most `limit` of them.
  func all(in text: [UInt8], limit: Int) -> [Int] {
    var places: [Int] = []
    var start = 0
    while places.count < limit, let place = first(in: text, from: start) {
      places.append(place)
      start = place + bytes.count
    }
    return places
  }
}

extension String {
  /// The words between runs of white space, at most `limit` cuts.
  func words(limit: Int) -> [String] {
    var words: [String] = []
    var rest = stripped(of: nil, atStart: true, atEnd: limit == .max).unicodeScalars[...]
    while !rest.isEmpty {
      let end = words.count < limit ? rest.firstIndex { $0.properties.isWhitespace } : nil
      words.append(String(rest[..<(end ?? rest.endIndex)]))
      rest = rest[(end ?? rest.endIndex)...].drop { $0.properties.isWhitespace }
    }
    return words
  }

  /// The lines, without their ends.
  var lines: [String] {
    var lines: [String] = []
    var line = ""
    var wasReturn = false
    var isOpen = false
    for scalar in unicodeScalars {
      if scalar == "\n", wasReturn {
        wasReturn = false
        continue
      }
      wasReturn = scalar == "\r"
      switch scalar {
      case "\n", "\r", "\u{B}", "\u{C}", "\u{1C}", "\u{1D}", "\u{1E}", "\u{85}", "\u{2028}",
        "\u{2029}":
        lines.append(line)
        line = ""
        isOpen = false
      default:
        line.unicodeScalars.append(scalar)
        isOpen = true
      }
    }
    return isOpen ? lines + [line] : lines
  }

  /// The text without the given scalars, or white space, at its ends.
  func stripped(of set: String?, atStart: Bool, atEnd: Bool) -> String {
    let members = set.map { Set($0.unicodeScalars) }
    func goes(_ scalar: Unicode.Scalar) -> Bool {
      members?.contains(scalar) ?? scalar.properties.isWhitespace
    }
    var scalars = unicodeScalars[...]
    if atStart { scalars = scalars.drop(while: goes) }
    while atEnd, let last = scalars.last, goes(last) { scalars.removeLast() }
    return String(scalars)
  }

  /// The text with its first letter in upper case and the rest in lower case.
  var capitalisedSentence: String {
    guard let first = unicodeScalars.first else { return "" }
    return first.properties.titlecaseMapping + String(unicodeScalars.dropFirst()).lowercased()
  }

  /// The text with each word's first letter in upper case and the rest in lower case, where words are
  /// runs of letters, as Python's method has it.
  var capitalisedWords: String {
    var result = ""
    var isInWord = false
    for scalar in unicodeScalars {
      let properties = scalar.properties
      result += isInWord ? properties.lowercaseMapping : properties.titlecaseMapping
      isInWord = properties.isCased
    }
    return result
  }

  /// The same where words begin after blanks, hyphens and opening brackets, as Jinja's filter has it.
  var capitalisedTitle: String {
    var result = ""
    var isInWord = false
    for scalar in unicodeScalars {
      let properties = scalar.properties
      result += isInWord ? properties.lowercaseMapping : properties.uppercaseMapping
      isInWord = !(properties.isWhitespace || "-({[<".unicodeScalars.contains(scalar))
    }
    return result
  }

  /// Whether the text has scalars and all of them are of a kind.
  func consists(of isOfKind: (Unicode.Scalar.Properties) -> Bool) -> Bool {
    !unicodeScalars.isEmpty && unicodeScalars.allSatisfy { isOfKind($0.properties) }
  }
}
