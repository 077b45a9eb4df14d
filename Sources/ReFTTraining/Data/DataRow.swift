// SPDX-License-Identifier: Apache-2.0
// The formats of a row, told apart by its keys.

import ReFTTensor
import ReFTText

/// One row of a data file.
enum DataRow: Equatable {
  /// A prompt and what follows it, both as they are.
  case completion(prompt: String, completion: String)
  /// An instruction with what must answer it; the template words it.
  case instruction(instruction: String, input: String, output: String)
  /// A conversation, ending with the assistant's answer.
  case messages([ChatMessage])
  /// Running text.
  case text(String)
  /// Tokens as they are; a label of −100 is none.
  case tokens(ids: [Int32], labels: [Int32])

  static let formats =
    "{\"prompt\",\"completion\"}, {\"instruction\",\"input\",\"output\"}, {\"messages\"}, {\"text\"}, "
    + "{\"question\",\"answer\"} or {\"ids\",\"labels\"}"

  /// Reads a row.
  ///
  /// - Parameters:
  ///   - value: what stands in the file.
  ///   - place: `file:line`, for messages.
  /// - Throws: `badData` naming the place, when it is in none of the formats.
  init(_ value: RowValue, place: String) throws(ReFTError) {
    guard case .object(let members) = value else {
      throw .wrongRow(place, "expected an object such as {\"prompt\":…}, found \(value.kind)")
    }
    let row = Fields(members: members, place: place)
    let has = { (key: String) in members.contains { $0.key == key } }
    if has("ids") {
      self = try row.tokens()
    } else if has("messages") {
      self = try row.messages()
    } else if has("prompt"), has("completion") {
      self = .completion(prompt: try row.text("prompt"), completion: try row.text("completion"))
    } else if has("instruction"), has("output") {
      self = .instruction(
        instruction: try row.text("instruction"),
        input: try row.optionalText("input"),
        output: try row.text("output")
      )
    } else if has("question"), has("answer") {
      self = .instruction(
        instruction: try row.text("question"),
        input: "",
        output: try row.text("answer")
      )
    } else if has("text") {
      self = .text(try row.text("text"))
    } else {
      let keys = members.map { "\"\($0.key)\"" }.joined(separator: ", ")
      throw .wrongRow(
        place,
        "expected \(Self.formats), found the keys \(keys.isEmpty ? "of an empty object" : keys)"
      )
    }
  }
}

/// The members of a row's object, read by type.
private struct Fields {
  let members: [RowValue.Member]
  let place: String

  private func value(_ key: String) -> RowValue? { members.first { $0.key == key }?.value }

  func text(_ key: String) throws(ReFTError) -> String {
    guard case .text(let text)? = value(key) else {
      throw .wrongRow(
        place,
        "\"\(key)\" must be a text, found \(value(key)?.kind ?? "nothing")"
      )
    }
    return text
  }

  /// A text that may be absent or null.
  func optionalText(_ key: String) throws(ReFTError) -> String {
    switch value(key) {
    case nil, .null?: ""
    default: try text(key)
    }
  }

  func tokens() throws(ReFTError) -> DataRow {
    if value("labels") == nil, value("label") != nil {
      throw .wrongRow(
        place,
        "\"label\" is of a classifier, and this model generates; use {\"ids\",\"labels\"}"
      )
    }
    let ids = try integers("ids")
    let labels = try integers("labels")
    guard ids.count == labels.count, !ids.isEmpty else {
      throw .wrongRow(
        place,
        "\(ids.count) ids and \(labels.count) labels; expected as many of both, at least one"
      )
    }
    return .tokens(ids: ids, labels: labels)
  }

  private func integers(_ key: String) throws(ReFTError) -> [Int32] {
    guard case .list(let items)? = value(key) else {
      throw .wrongRow(
        place,
        "\"\(key)\" must be a list of token ids, found \(value(key)?.kind ?? "nothing")"
      )
    }
    var result: [Int32] = []
    result.reserveCapacity(items.count)
    for item in items {
      guard case .integer(let number) = item, let id = Int32(exactly: number) else {
        throw .wrongRow(
          place,
          "item \(result.count) of \"\(key)\" must be a whole number, found \(item.kind)"
        )
      }
      result.append(id)
    }
    return result
  }

  func messages() throws(ReFTError) -> DataRow {
    guard case .list(let items)? = value("messages"), !items.isEmpty else {
      throw .wrongRow(place, "\"messages\" must be a list of {\"role\",\"content\"}, at least one")
    }
    var result: [ChatMessage] = []
    for (index, item) in items.enumerated() {
      guard case .object(let members) = item else {
        throw .wrongRow(
          place,
          "message \(index) must be {\"role\",\"content\"}, found \(item.kind)"
        )
      }
      let fields = Fields(members: members, place: "\(place), message \(index)")
      let (role, content) = (try fields.text("role"), try fields.text("content"))
      result.append(ChatMessage(role: role, content: content))
    }
    guard result.last?.role == "assistant" else {
      throw .wrongRow(
        place,
        "the last message is of \"\(result.last?.role ?? "")\"; a row to learn from ends with the "
          + "assistant's answer"
      )
    }
    return .messages(result)
  }
}
