// SPDX-License-Identifier: Apache-2.0
// What can be wrong with data files and templates, one factory per situation.

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
}
