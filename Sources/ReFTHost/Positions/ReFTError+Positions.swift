// SPDX-License-Identifier: Apache-2.0
// What can be wrong with a position rule.

import ReFTTensor

extension ReFTError {
  static func badPositions(_ text: String, reason: String) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "positions '\(text)' cannot be read: \(reason); the forms are f7+l7, f3, l1, all, every:4, "
        + "[0,5,-1], [2:10], after:\"text\", tokens:\" the\"|262, random:3 and none, joined by +, with weights "
        + "such as f3*0.5, and with +decode at the end if wanted"
    )
  }

  static func positionOutsidePrompt(
    rule: PositionRule,
    index: Int,
    promptLength: Int
  ) -> ReFTError {
    ReFTError(
      .usage,
      "positions '\(rule)' name token \(index), but the prompt has \(promptLength) tokens; use an "
        + "index from \(-promptLength) to \(promptLength - 1), or a rule such as f1+l1 that fits "
        + "itself to the prompt"
    )
  }

  static func positionTextNotFound(
    rule: PositionRule,
    text: String,
    promptLength: Int
  ) -> ReFTError {
    ReFTError(
      .usage,
      "positions '\(rule)' look for a text that does not occur in the prompt of \(promptLength) "
        + "tokens; use a template that writes it, or other positions"
    )
  }

  static func positionsNeedTokens(
    rule: PositionRule,
    given: Int,
    promptLength: Int
  ) -> ReFTError {
    ReFTError(
      .internalFault,
      "positions '\(rule)' look at the prompt's tokens, and \(given) of \(promptLength) were given; pass "
        + "them to the edit session"
    )
  }

  static func positionsNeedTokenizer(rule: PositionRule) -> ReFTError {
    ReFTError(
      .usage,
      "positions '\(rule)' look for a text, which needs the model's tokenizer, and none was given; "
        + "use positions that count tokens instead"
    )
  }
}
