// SPDX-License-Identifier: Apache-2.0
// The text form of position rules.

import ReFTTensor

/// Reads the text of one position rule: parts joined by `+`, each with a weight behind `*` if wanted.
struct PositionRuleParser {
  let text: String

  init(_ text: String) { self.text = text }

  /// The largest count or index that a rule may name; positions are 32-bit across the plugin ABI.
  static let limit = Int(Int32.max)
  /// The most parts of a rule.
  private static let partLimit = 16
  /// The largest weight, either way.
  private static let weightLimit: Float = 1e6

  func parse() throws(ReFTError) -> PositionRule {
    var parts: [PositionRule.Part] = []
    var decodeWeight: Float?
    var isNone = false
    for piece in PositionText.split(text[...], at: "+") {
      let (body, weight) = try weighted(piece)
      switch body {
      case "none":
        guard !isNone, parts.isEmpty, decodeWeight == nil, weight == 1 else {
          throw .badPositions(text, reason: "'none' stands alone, or before +decode")
        }
        isNone = true
      case "decode":
        guard decodeWeight == nil else {
          throw .badPositions(text, reason: "'decode' is there twice")
        }
        decodeWeight = weight
      default:
        let part = PositionRule.Part(try selection(body), weight: weight)
        guard !isNone else { throw .badPositions(text, reason: "'none' goes with 'decode' alone") }
        guard decodeWeight == nil else {
          throw .badPositions(text, reason: "'decode' stands at the end")
        }
        try add(part, to: &parts)
      }
    }
    guard parts.count <= Self.partLimit else {
      throw .badPositions(text, reason: "it has more than \(Self.partLimit) parts")
    }
    return PositionRule(parts: parts, decodeWeight: decodeWeight)
  }

  /// A part without the spaces around it, and its weight.
  private func weighted(_ piece: Substring) throws(ReFTError) -> (Substring, Float) {
    let halves = PositionText.split(Self.trimmed(piece), at: "*")
    guard halves.count <= 2, let body = halves.first else {
      throw .badPositions(text, reason: "a part has one weight, such as f3*0.5")
    }
    guard halves.count == 2 else { return (body, 1) }
    let digits = Self.trimmed(halves[1])
    guard let weight = Float(digits), weight.isFinite, weight != 0,
      abs(weight) <= Self.weightLimit
    else {
      throw .badPositions(
        text,
        reason: "a weight is a number other than 0, such as 0.5 or -1, and not '\(digits)'"
      )
    }
    return (Self.trimmed(body), weight)
  }

  /// Adds a part; the two ends of a prompt, first tokens first, are one part where they can be.
  private func add(
    _ part: PositionRule.Part,
    to parts: inout [PositionRule.Part]
  ) throws(ReFTError) {
    if case .ends(let first, let last) = part.selection {
      for case .ends(let first0, let last0) in parts.map(\.selection) {
        if first > 0 && first0 > 0 || last > 0 && last0 > 0 {
          throw .badPositions(text, reason: "'\(first > 0 ? "f" : "l")' is there twice")
        }
        if first > 0, last0 > 0 {
          throw .badPositions(text, reason: "the first tokens stand first: f…+l…")
        }
      }
      if last > 0, part.weight == 1, let before = parts.last, before.weight == 1,
        case .ends(let count, 0) = before.selection
      {
        parts[parts.count - 1].selection = .ends(first: count, last: last)
        return
      }
    }
    guard !parts.contains(where: { $0.selection == part.selection }) else {
      throw .badPositions(text, reason: "'\(part.selection)' is there twice")
    }
    parts.append(part)
  }

  static func trimmed(_ text: Substring) -> Substring {
    var text = text.drop { $0 == " " }
    while text.last == " " { text.removeLast() }
    return text
  }
}
