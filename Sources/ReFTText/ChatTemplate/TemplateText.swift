// SPDX-License-Identifier: Apache-2.0
// The string methods of templates, scalar by scalar as Python has them: Swift's own would join a
// carriage return and a newline into one character and treat equivalent texts as equal.

extension String {
  /// Where `part` first occurs at or after `start`, as an index of UTF-8.
  func firstOccurrence(of part: String, from start: Int = 0) -> Int? {
    Self.find(Array(part.utf8), in: Array(utf8), from: start)
  }

  private static func find(_ part: [UInt8], in text: [UInt8], from start: Int) -> Int? {
    guard part.count <= text.count - start else { return nil }
    var index = start
    while index + part.count <= text.count {
      if text[index..<(index + part.count)].elementsEqual(part) { return index }
      index += 1
    }
    return nil
  }

  /// The parts between occurrences of a separator that is not empty, at most `limit` cuts.
  func parts(separator: String, limit: Int) -> [String] {
    let text = Array(utf8)
    let cut = Array(separator.utf8)
    var parts: [String] = []
    var start = 0
    while parts.count < limit, let found = Self.find(cut, in: text, from: start) {
      parts.append(String(decoding: text[start..<found], as: UTF8.self))
      start = found + cut.count
    }
    parts.append(String(decoding: text[start...], as: UTF8.self))
    return parts
  }

  /// The words between runs of white space, at most `limit` cuts.
  func words(limit: Int) -> [String] {
    var words: [String] = []
    var rest = stripped(of: nil, atStart: true, atEnd: true).unicodeScalars[...]
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
      if scalar == "\n" || scalar == "\r" {
        lines.append(line)
        line = ""
        isOpen = false
      } else {
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

  /// The text with `part` replaced, at most `limit` times; an empty `part` changes nothing.
  func replacing(_ part: String, by other: String, limit: Int) -> String {
    part.isEmpty ? self : parts(separator: part, limit: limit).joined(separator: other)
  }

  /// The text with its first letter in upper case and the rest in lower case.
  var capitalisedSentence: String {
    guard let first = unicodeScalars.first else { return "" }
    return first.properties.titlecaseMapping + String(unicodeScalars.dropFirst()).lowercased()
  }

  /// The text with each word's first letter in upper case and the rest in lower case.
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
}
