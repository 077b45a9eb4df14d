// SPDX-License-Identifier: Apache-2.0
// What can be wrong with tasks and their rows, one factory per situation.

import ReFTTensor

extension ReFTError {
  // MARK: Rows

  /// Something about a row, in its words.
  static func ofRow(_ row: TaskRow, _ error: ReFTError) -> ReFTError {
    ReFTError(error.code, "\(row.place): \(error.message)", cause: error)
  }

  static func noField(_ row: TaskRow, _ name: String) -> ReFTError {
    let guess = NearestName.find(name, in: row.names).map { "; did you mean '\($0)'?" } ?? ";"
    let names = row.names.prefix(12).map { "'\($0.shown(40))'" }.joined(separator: ", ")
    return ReFTError(
      .badData,
      "\(row.place): the row has no field '\(name.shown())'\(guess) its fields are \(names)"
    )
  }

  static func wrongField(
    _ row: TaskRow,
    _ name: String,
    found: String,
    expected: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "\(row.place): the field '\(name.shown())' must be \(expected), found \(found)"
    )
  }

  static func noMatch(
    _ row: TaskRow,
    field: String,
    source: String,
    _ pattern: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "\(row.place): the field '\(field)' is cut out of '\(source)', in which '\(pattern.shown())' "
        + "matches nothing; is the file of the form that the task reads?"
    )
  }

  static func wrongRowKind(_ place: String, found: String) -> ReFTError {
    ReFTError(.badData, "\(place): expected an object with the task's fields, found \(found)")
  }

  static func noTaskRows(_ path: String) -> ReFTError {
    ReFTError(.badData, "\(path):1: no rows; expected at least one")
  }

  static func noTaskData() -> ReFTError {
    ReFTError(
      .usage,
      "the task names no file of rows; give one with --data, or write 'data: {file: …}' in the task"
    )
  }

  // MARK: Answers

  static func answerOutOfRange(_ row: TaskRow, found: String, options: [String]) -> ReFTError {
    let shown = options.prefix(8).map { "'\($0.shown(40))'" }.joined(separator: ", ")
    return ReFTError(
      .badData,
      "\(row.place): the answer '\(found.shown())' is none of the \(options.count) options: \(shown); "
        + "write one of them, or its number from 0"
    )
  }

  static func tooFewOptions(_ row: TaskRow, _ count: Int) -> ReFTError {
    ReFTError(.badData, "\(row.place): \(count) options; expected two or more to choose from")
  }

  static func emptyContinuation(_ row: TaskRow, _ option: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(row.place): the option '\(option.shown())' adds no token to the prompt; give it a text"
    )
  }

  static func emptyTaskText(_ row: TaskRow, _ what: String) -> ReFTError {
    ReFTError(.badData, "\(row.place): the \(what) is empty; give it a text, or remove the row")
  }

  static func likelihoodNotFinite(_ row: TaskRow, _ value: Double, _ contender: String) -> ReFTError
  {
    ReFTError(
      .badData,
      "\(row.place): the log-likelihood of '\(contender)' is \(value), though all weights of the "
        + "model are finite; the adapter's edit is too strong: take an earlier or a weaker one"
    )
  }

  // MARK: Tasks

  static func loneBraceInTask(_ text: String, _ brace: Character) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "a lone '\(brace)' in '\(text.shown())'; write it twice to mean the character"
    )
  }
}
