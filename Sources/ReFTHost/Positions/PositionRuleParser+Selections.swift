// SPDX-License-Identifier: Apache-2.0
// The text forms of the parts of position rules.

import ReFTTensor

extension PositionRuleParser {
  /// Reads one part, without its weight.
  func selection(_ body: Substring) throws(ReFTError) -> PositionRule.Selection {
    if body == "all" { return .all }
    if let rest = body.after("every:") { return .every(try count(rest, of: "every:")) }
    if let rest = body.after("after:") { return .after(try unquoted(rest)) }
    if let rest = body.after("tokens:") { return .tokens(try tokens(rest)) }
    if let rest = body.after("random:") { return try random(rest) }
    if body.hasPrefix("["), body.hasSuffix("]") {
      let inside = body.dropFirst().dropLast()
      return inside.contains(":") ? try range(inside) : .indices(try indices(inside))
    }
    switch body.first {
    case "f": return .ends(first: try count(body.dropFirst(), of: "f"), last: 0)
    case "l": return .ends(first: 0, last: try count(body.dropFirst(), of: "l"))
    default: throw .badPositions(text, reason: "'\(body)' has none of the known forms")
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
      let value = try index(item)
      guard seen.insert(value).inserted else {
        throw .badPositions(text, reason: "index \(value) stands there twice")
      }
      result.append(value)
    }
    return result
  }

  private func index(_ item: Substring) throws(ReFTError) -> Int {
    guard let value = Int(item.filter { $0 != " " }), (-Self.limit...Self.limit).contains(value)
    else { throw .badPositions(text, reason: "'\(item)' is not a token index") }
    return value
  }

  private func range(_ inside: Substring) throws(ReFTError) -> PositionRule.Selection {
    let bounds = inside.split(separator: ":", omittingEmptySubsequences: false)
    guard bounds.count == 2, !inside.contains(",") else {
      throw .badPositions(text, reason: "a range is [from:to]; join several by +, as in [0]+[2:10]")
    }
    var values: [Int?] = []
    for bound in bounds { values.append(Self.trimmed(bound).isEmpty ? nil : try index(bound)) }
    let (lower, upper) = (values[0], values[1])
    if lower == nil, upper == nil { throw .badPositions(text, reason: "for every token write all") }
    let isFromEnd = (lower ?? 0) < 0
    if let upper, upper == 0 || isFromEnd == (upper < 0) && upper <= lower ?? 0 {
      throw .badPositions(text, reason: "the range [\(inside)] is empty")
    }
    return .range(lower: lower, upper: upper)
  }

  private func tokens(_ list: Substring) throws(ReFTError) -> [PositionRule.TokenName] {
    var names: [PositionRule.TokenName] = []
    for item in PositionText.split(list, at: "|") {
      let word = Self.trimmed(item)
      let name: PositionRule.TokenName
      if word.hasPrefix("\"") {
        name = .text(try unquoted(word))
      } else {
        guard word.allSatisfy({ $0.isASCII && $0.isNumber }), let id = Int32(word) else {
          throw .badPositions(
            text,
            reason: "'tokens:' wants texts in double quotes or token ids with | between them, not "
              + "'\(word)'"
          )
        }
        name = .id(id)
      }
      guard !names.contains(name) else {
        throw .badPositions(text, reason: "the token \(name) is there twice")
      }
      names.append(name)
    }
    return names
  }

  private func random(_ body: Substring) throws(ReFTError) -> PositionRule.Selection {
    let halves = body.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
    let count = try count(halves[0], of: "random:")
    guard halves.count == 2 else { return .random(count: count, seed: 0) }
    guard halves[1].allSatisfy({ $0.isASCII && $0.isNumber }), let seed = UInt64(halves[1]) else {
      throw .badPositions(
        text,
        reason: "the seed behind @ is a whole number of at least 0, not '\(halves[1])'"
      )
    }
    return .random(count: count, seed: seed)
  }

  private func unquoted(_ body: Substring) throws(ReFTError) -> String {
    switch PositionText.unquoted(body) {
    case .success(let text): return text
    case .failure(let fault): throw .badPositions(text, reason: fault.reason)
    }
  }
}

extension Substring {
  /// What follows a prefix; nil where there is none.
  fileprivate func after(_ prefix: String) -> Substring? {
    hasPrefix(prefix) ? dropFirst(prefix.count) : nil
  }
}
