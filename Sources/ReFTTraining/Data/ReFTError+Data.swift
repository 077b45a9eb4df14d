// SPDX-License-Identifier: Apache-2.0
// What can be wrong with data files and templates, one factory per situation.

import ReFTHost
import ReFTTensor

extension ReFTError {
  // MARK: Files

  static func emptyData(path: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(path):1: no rows; expected one JSON object per line, or a JSON list of them"
    )
  }

  static func notJSON(path: String, fault: JSONFault) -> ReFTError {
    let place = "\(path):\(fault.place)"
    if fault.isEncoding {
      return ReFTError(.badData, "\(place): \(fault.message); \(JSONFault.encodingRemedy)")
    }
    return ReFTError(
      .badData,
      "\(place): not JSON: \(fault.message); expected one JSON object per line, or a JSON list of "
        + "them",
      cause: fault
    )
  }

  static func rowWithoutEnd(_ place: String, maximum: Int) -> ReFTError {
    ReFTError(
      .badData,
      "\(place): a row of more than \(maximum) bytes, which is the most that a row may have; split "
        + "it, or write each row on a line of its own"
    )
  }

  static func wrongRow(_ place: String, _ message: String) -> ReFTError {
    ReFTError(.badData, "\(place): \(message)")
  }

  static func keyNotUsed(_ place: String, key: String, remedy: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(place): \"\(key)\" would change what the model sees, and nothing reads it here; \(remedy)"
    )
  }

  // MARK: Rows as tokens

  static func overlongRow(_ place: String, _ options: DataSet.Options) -> ReFTError {
    ReFTError(
      .badData,
      "\(place): more than \(options.longest) tokens, \(options.lengthBound); \(options.lengthRemedy)"
    )
  }

  static func noLabelsLeft(
    path: String,
    _ account: DataSet.Account,
    _ options: DataSet.Options
  ) -> ReFTError {
    if account.unlabelled == account.rows {
      return ReFTError(
        .badData,
        "\(path): none of its \(account.rows) rows has a token to learn, the first at "
          + "\(account.firstUnlabelled); give the rows completions, or labels other than -100 after "
          + "the first token"
      )
    }
    return ReFTError(
      .badData,
      "\(path): none of its \(account.rows) rows keeps a token to learn within \(options.longest) "
        + "tokens, \(options.lengthBound); shorten the prompts"
        + (options.contextLength < options.maxLength ? "" : ", or raise it")
    )
  }

  static func tooFewToSplit(path: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(path): one row cannot be split into training and validation; add rows, or remove "
        + "'data.validation'"
    )
  }

  static func foreignToken(_ place: String, _ key: String, id: Int32, size: Int) -> ReFTError {
    ReFTError(
      .badData,
      "\(place): \"\(key)\" holds \(id), which is no token of this model; expected 0 to \(size - 1)"
        + (key == "labels" ? ", or -100 for no label" : "")
    )
  }

  static func noEndOfSequence() -> ReFTError {
    ReFTError(
      .badConfiguration,
      "the model's tokenizer names no end-of-sequence token; set 'data.end_of_sequence: false' (with "
        + "`reft score`: --no-eos)"
    )
  }

  // MARK: Templates

  static func unknownTemplate(_ text: String) -> ReFTError {
    let guess = NearestName.find(text, in: ["none", "alpaca", "chat"])
    return ReFTError(
      .badConfiguration,
      "there is no template '\(text)'" + (guess.map { "; did you mean '\($0)'?" } ?? ";")
        + " expected none, alpaca, chat, or a text with {instruction}, {input} and {output}"
    )
  }

  static func noChatTemplate() -> ReFTError {
    ReFTError(
      .usage,
      "the template is 'chat', but the model has no chat template; take 'alpaca', 'none' or a "
        + "format string"
    )
  }

  static func messagesNeedChat(_ place: String, template: Template) -> ReFTError {
    ReFTError(
      .badData,
      "\(place): a conversation of several messages fits no template '\(template)'; set "
        + "'data.template: chat' (with `reft score`: --template chat)"
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
