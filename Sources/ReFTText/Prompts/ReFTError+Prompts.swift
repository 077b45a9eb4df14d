// SPDX-License-Identifier: Apache-2.0
// What can be wrong with a template, or with what it is asked to word.

import ReFTTensor

extension ReFTError {
  static func noEndOfSequence() -> ReFTError {
    ReFTError(
      .badConfiguration,
      "the model's tokenizer names no end-of-sequence token; set 'data.end_of_sequence: false' (with "
        + "`reft score`: --no-eos)"
    )
  }

  static func noChatTemplate(_ model: String) -> ReFTError {
    ReFTError(
      .usage,
      "\(model) has no chat template; use a chat model, or write the prompt out and give it as it is"
    )
  }

  static func conversationNeedsChat(_ template: Template) -> ReFTError {
    ReFTError(
      .usage,
      "a conversation goes through the model's chat template, but the template '\(template)' was "
        + "asked for; take 'chat', or leave it out"
    )
  }

  static func unknownTemplate(_ text: String) -> ReFTError {
    let guess = NearestName.find(text, in: ["none", "alpaca", "chat"])
    return ReFTError(
      .badConfiguration,
      "there is no template '\(text)'" + (guess.map { "; did you mean '\($0)'?" } ?? ";")
        + " expected none, alpaca, chat, or a text with {instruction}, {input} and {output}"
    )
  }

  static func loneBrace(template: String, brace: Character) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "a lone '\(brace)' in the template '\(template)'; write it twice to mean the character"
    )
  }

  static func unknownField(template: String, field: String) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "unknown field {\(field)} in the template '\(template)'; expected {instruction}, {input} or "
        + "{output}"
    )
  }

  static func fieldAfterOutput(template: String, field: String) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "{\(field)} follows {output} in the template '\(template)'; the output must be the last field"
    )
  }

  static func templateWithoutInstruction(_ template: String) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "the template '\(template)' lacks {instruction}, so all prompts would be equal"
    )
  }
}
