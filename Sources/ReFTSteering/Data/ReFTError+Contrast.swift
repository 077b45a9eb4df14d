// SPDX-License-Identifier: Apache-2.0
// What can be wrong with the data of a steering vector, one factory per situation.

import ReFTTensor

extension ReFTError {
  // MARK: Files

  static func noContrastRows(_ path: String) -> ReFTError {
    ReFTError(.badData, "\(path):1: no rows; expected \(ContrastReader.forms)")
  }

  // MARK: Rows

  static func contrastRow(_ place: String, found: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(place): expected a text or an object, found \(found); write \(ContrastReader.forms)"
    )
  }

  static func contrastForm(_ row: ContrastRow) -> ReFTError {
    ReFTError(
      .badData,
      "\(row.place): expected \(ContrastReader.forms), the same in all rows; found the keys "
        + "\(row.keys)"
    )
  }

  static func contrastText(_ row: ContrastRow) -> ReFTError {
    ReFTError(
      .badData,
      "\(row.place): expected a text or {\"text\"}, found the keys \(row.keys)"
    )
  }

  static func pairOfMany(_ place: String, pair: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(place): pair '\(pair.shown(40))' does not have one text of each label; complete it, or "
        + "remove the column of pairs"
    )
  }

  private static func listed(_ labels: Set<String>) -> String {
    let shown = labels.sorted().prefix(8).map { "'\($0.shown(40))'" }.joined(separator: ", ")
    return labels.count > 8 ? shown + " and \(labels.count - 8) more" : shown
  }

  static func positiveLabelNeeded(_ path: String, found: Set<String>) -> ReFTError {
    ReFTError(
      .usage,
      "\(path): its labels are \(listed(found)), and it is open which is to be steered to; name "
        + "it with --positive, and its opposite with --negative"
    )
  }

  static func labelsNotThere(
    _ path: String,
    wanted: Set<String>,
    found: Set<String>
  ) -> ReFTError {
    ReFTError(
      .usage,
      "\(path): its labels are \(listed(found)); \(listed(wanted)) with an opposite was asked "
        + "for; name labels that are there with --positive and --negative"
    )
  }

  // MARK: Texts

  static func templateWithoutPlace(_ template: String) -> ReFTError {
    ReFTError(
      .usage,
      "--template '\(template.shown())' has no {} where a word goes; write, for example, 'Act as "
        + "if you are {}.'"
    )
  }

  static func wordsWithoutOpposite(positive: Int, negative: Int) -> ReFTError {
    ReFTError(
      .usage,
      "\(positive) words with --positive and \(negative) with --negative; a template needs as "
        + "many of one as of the other, at least one"
    )
  }

  static func contrastWithoutTokens(_ place: String) -> ReFTError {
    ReFTError(.badData, "\(place): a text without tokens; write some text, or remove the row")
  }

  static func contrastTooLong(_ place: String, tokens: Int, context: Int) -> ReFTError {
    ReFTError(
      .badData,
      "\(place): \(tokens) tokens, and the model's context holds \(context); give --max-length "
        + "\(context) to cut such texts"
    )
  }

  static func nothingLeft(texts: Int, heldOut: Int) -> ReFTError {
    ReFTError(
      .usage,
      "of \(texts) texts or pairs \(heldOut) would be held out, and none is left to find a "
        + "direction from; give more, or lower --holdout"
    )
  }
}
