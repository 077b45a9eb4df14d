// SPDX-License-Identifier: Apache-2.0
// Which tokens of a text a vector is read at.

public import ReFTHost
public import ReFTTensor

/// The tokens whose hidden states stand for a text.
public enum ReadPosition: Sendable, Equatable, CustomStringConvertible {
  /// The last token.
  case last
  /// The mean over all tokens but the first, whose state says little of the text.
  case mean
  /// The mean over the tokens that a rule selects of the whole text.
  case rule(PositionRule)

  /// Reads a position from its text form: last, mean, or a rule.
  ///
  /// - Throws: `usage`, with the forms that exist.
  public init(_ text: String) throws(ReFTError) {
    switch text {
    case "last": self = .last
    case "mean": self = .mean
    default:
      do throws(ReFTError) {
        let rule = try PositionRule(text)
        guard !rule.editsDecodedTokens else { throw .readsDecodedTokens(text) }
        if let part = rule.parts.first(where: { $0.weight != 1 }) {
          throw .readsWithWeight(text, part.selection)
        }
        self = .rule(rule)
      } catch {
        throw ReFTError(
          .usage,
          "--position: expected last, mean or a rule: \(error.message)",
          cause: error
        )
      }
    }
  }

  /// The text form.
  public var description: String {
    switch self {
    case .last: "last"
    case .mean: "mean"
    case .rule(let rule): rule.description
    }
  }

  /// The tokens of a text, ascending.
  ///
  /// - Throws: `badData` with the place of a text in which the rule selects none.
  func tokens(
    of text: EncodedContrast,
    tokenizer: (any TokenText)?
  ) throws(ReFTError) -> [Int] {
    let count = text.ids.count
    switch self {
    case .last: return [count - 1]
    case .mean: return count == 1 ? [0] : Array(1..<count)
    case .rule(let rule):
      let rows: [EditedPosition]
      do throws(ReFTError) {
        rows = try rule.rows(promptLength: count, tokens: text.ids[...], tokenizer: tokenizer)
      } catch {
        throw ReFTError(.badData, "\(text.place): \(error.message)", cause: error)
      }
      guard !rows.isEmpty else { throw .readsNothing(text.place, rule: rule, tokens: count) }
      return rows.map(\.position).sorted()
    }
  }
}

extension ReFTError {
  fileprivate static func readsDecodedTokens(_ rule: String) -> ReFTError {
    ReFTError(
      .usage,
      "'\(rule)' ends in +decode, and no token is generated here; leave it out"
    )
  }

  fileprivate static func readsWithWeight(
    _ rule: String,
    _ selection: PositionRule.Selection
  ) -> ReFTError {
    ReFTError(
      .usage,
      "'\(rule)' has a weight, which edits have; all tokens that are read count the same; write "
        + "\(selection) without one"
    )
  }

  fileprivate static func readsNothing(
    _ place: String,
    rule: PositionRule,
    tokens: Int
  ) -> ReFTError {
    ReFTError(
      .badData,
      "\(place): the positions \(rule) select none of its \(tokens) tokens; remove the row, or "
        + "give --position last"
    )
  }
}
