// SPDX-License-Identifier: Apache-2.0
// From a position rule to the tokens of one prompt.

public import ReFTTensor

/// Whatever can tell the text of a token; a tokenizer is the usual one.
public protocol TokenText {
  /// The bytes that a token stands for.
  func bytes(of id: Int32) -> [UInt8]
}

extension PositionRule {
  /// The tokens of a prompt that the rule selects, each once, in the order of the rule's locations.
  ///
  /// - Parameters:
  ///   - promptLength: number of tokens of the prompt.
  ///   - tokens: the prompt's tokens; `after:"…"`, `tokens:…` and `random:…` read them.
  ///   - tokenizer: tells their text; only parts that look for a text need it.
  /// - Returns: the tokens with their group, location and weight.
  /// - Throws: `.usage` when an index lies outside the prompt or the text does not occur in it.
  public func rows(
    promptLength: Int,
    tokens: ArraySlice<Int32> = [],
    tokenizer: (any TokenText)? = nil
  ) throws(ReFTError) -> [EditedPosition] {
    let prompt = PromptTokens(
      rule: self,
      count: promptLength,
      tokens: tokens.prefix(promptLength),
      tokenizer: tokenizer
    )
    var result: [EditedPosition] = []
    var seen: Set<Int> = []
    var base = 0
    for part in parts {
      let found = try prompt.positions(of: part.selection)
      for var place in found where seen.insert(place.position).inserted {
        place.location += base
        place.weight = part.weight
        result.append(place)
      }
      base += part.selection.locationCount ?? (found.map(\.location).max() ?? -1) + 1
    }
    return result
  }

  /// Whether a rule that looks at the length of a prompt alone finds no token in one of a length.
  ///
  /// Rules that look for a token or a text have to look: `looksForTokens`.
  public func editsNothing(promptLength: Int) -> Bool {
    parts.allSatisfy { part in
      switch part.selection {
      case .all, .every, .random: promptLength == 0
      case .ends(let first, let last): first + last == 0 || promptLength / 2 == 0
      case .range(let lower, let upper):
        PromptTokens.clip(lower, upper, to: promptLength).isEmpty
      case .indices, .after, .tokens: false
      }
    }
  }

  /// Whether a prompt may lack what the rule looks for.
  public var looksForTokens: Bool {
    parts.contains { part in
      switch part.selection {
      case .indices, .after, .tokens: true
      case .all, .every, .ends, .range, .random: false
      }
    }
  }
}
