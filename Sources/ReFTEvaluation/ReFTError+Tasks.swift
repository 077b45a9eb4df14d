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

  // MARK: Plans

  /// Something about what was named at a place of a file, or by options where that is nil.
  private static func ofPlan(at place: String?, _ message: String) -> ReFTError {
    guard let place else { return ReFTError(.usage, message) }
    return ReFTError(.badConfiguration, "\(place): \(message)")
  }

  static func taskTwice(_ name: String, of key: String, at place: String?) -> ReFTError {
    let subject = place == nil ? key : "'\(key)'"
    return ofPlan(
      at: place,
      "\(subject) names the task '\(name.shown())' twice, and its results go by that name; give a task "
        + "file another 'task', or ask one of them apart"
    )
  }

  static func taskWithoutData(
    _ name: String,
    word: String,
    at place: String?
  ) -> ReFTError {
    let remedy =
      place == nil ? "give one with --data" : "write {task: \(word.shown(200)), data: FILE}"
    return ofPlan(
      at: place,
      "the task '\(name.shown())' names no file of rows; \(remedy), or 'data: {file: …}' in a task "
        + "file"
    )
  }

  static func adapterNameTaken(_ name: String, at place: String?) -> ReFTError {
    let owner =
      name == Contender.frozen.name
      ? "what results call the model without an adapter" : "the name of another adapter"
    let remedy = place == nil ? "name each adapter once" : "give it another 'name'"
    return ofPlan(at: place, "an adapter is called '\(name.shown())', \(owner); \(remedy)")
  }

  static func nobodyAsked(at place: String?) -> ReFTError {
    ofPlan(
      at: place,
      "'frozen' is false and there are no 'adapters', so that nobody is asked; name an adapter, or "
        + "leave 'frozen' out"
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
