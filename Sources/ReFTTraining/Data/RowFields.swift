// SPDX-License-Identifier: Apache-2.0
// The members of a row's object, read by type; what is read is remembered.

import ReFTTensor
import ReFTText

/// Reads the members of one object of a row.
struct RowFields {
  let members: [JSONNode.Member]
  let path: String
  /// Where the object stands, for messages.
  let place: String
  private var used: Set<String> = []

  init(members: [JSONNode.Member], path: String, place: String) {
    (self.members, self.path, self.place) = (members, path, place)
  }

  /// Counts keys as read, whether they are there or not.
  mutating func skip(_ keys: [String]) { used.formUnion(keys) }

  private mutating func value(_ key: String) -> JSONNode? {
    used.insert(key)
    return members.first { $0.key == key }?.value
  }

  private func wrong(_ node: JSONNode?, _ message: String) -> ReFTError {
    .wrongRow(node.map { "\(path):\($0.place)" } ?? place, message)
  }

  mutating func text(_ key: String) throws(ReFTError) -> String {
    let node = value(key)
    guard case .text(let text)? = node?.content else {
      throw wrong(node, "\"\(key)\" must be a text, found \(node?.kind ?? "nothing")")
    }
    return text
  }

  /// A text that may be absent or null.
  private mutating func optionalText(_ key: String) throws(ReFTError) -> String {
    switch value(key)?.content {
    case nil, .null?: ""
    default: try text(key)
    }
  }

  // MARK: Instructions

  /// An instruction under one key and its answer under another.
  mutating func instruction(
    _ question: String,
    _ answer: String,
    answers: Bool,
    usesChat: Bool
  ) throws(ReFTError) -> DataRow {
    let instruction = try text(question)
    let input = question == "instruction" ? try optionalText("input") : ""
    let output = answers ? try text(answer) : ""
    let hasTurns = members.contains {
      ($0.key == "system" || $0.key == "history") && !$0.value.isEmpty
    }
    guard usesChat, hasTurns else {
      return .instruction(instruction: instruction, input: input, output: output)
    }
    var messages: [ChatMessage] = []
    let system = try optionalText("system")
    if !system.isEmpty { messages.append(ChatMessage(role: "system", content: system)) }
    messages += try history()
    messages.append(
      ChatMessage(
        role: "user",
        content: input.isEmpty ? instruction : instruction + "\n\n" + input
      )
    )
    if answers { messages.append(ChatMessage(role: "assistant", content: output)) }
    return .messages(messages)
  }

  /// Earlier turns: a list of [question, answer].
  private mutating func history() throws(ReFTError) -> [ChatMessage] {
    guard let node = value("history"), !node.isEmpty else { return [] }
    let expected = "\"history\" must be a list of [question, answer], both texts"
    guard case .list(let turns) = node.content else {
      throw wrong(node, "\(expected), found \(node.kind)")
    }
    var result: [ChatMessage] = []
    for turn in turns {
      guard case .list(let pair) = turn.content, pair.count == 2,
        case .text(let question) = pair[0].content, case .text(let answer) = pair[1].content
      else { throw wrong(turn, "\(expected), found \(turn.kind) that is no such pair") }
      result.append(ChatMessage(role: "user", content: question))
      result.append(ChatMessage(role: "assistant", content: answer))
    }
    return result
  }

  // MARK: Preferences

  /// A prompt or an instruction with two answers; nil for a row that has neither, or lacks one of these.
  mutating func preference() throws(ReFTError) -> DataRow? {
    let has = { [members] (key: String) in members.contains { $0.key == key } }
    guard has("chosen"), has("rejected"), has("prompt") || has("instruction") else { return nil }
    let prompt: Prompt
    if has("prompt") {
      prompt = .text(try text("prompt"))
    } else {
      prompt = .instruction(try text("instruction"), input: try optionalText("input"))
    }
    // Some files keep the answer that one of the two was made of.
    skip(["completion", "output", "answer"])
    return .preference(
      prompt: prompt,
      chosen: try text("chosen"),
      rejected: try text("rejected")
    )
  }

  // MARK: Labels

  /// A text or tokens with the label of a head; nil for a row that has neither.
  mutating func labelled(withLabel: Bool) throws(ReFTError) -> DataRow? {
    let isTokens = members.contains { $0.key == "ids" }
    guard isTokens || members.contains(where: { $0.key == "text" }) else { return nil }
    let node = value("label")
    var label: LabelValue?
    if withLabel {
      guard let found = node?.label else {
        throw wrong(
          node,
          "\"label\" must be a number, a name, or a list of these, found \(node?.kind ?? "nothing")"
        )
      }
      label = found
    }
    if isTokens {
      let ids = try integers("ids")
      guard !ids.isEmpty else { throw wrong(value("ids"), "\"ids\" is empty") }
      return .labelledTokens(ids: ids, label: label)
    }
    let pair = value("text_pair")
    let hasPair = pair.map { $0.kind != "null" } ?? false
    return .labelled(
      text: try text("text"),
      pair: hasPair ? try text("text_pair") : nil,
      label: label
    )
  }

  // MARK: Tokens

  mutating func tokens(withLabels: Bool) throws(ReFTError) -> DataRow {
    let ids = try integers("ids")
    guard withLabels else {
      guard !ids.isEmpty else { throw wrong(value("ids"), "\"ids\" is empty") }
      return .tokens(ids: ids, labels: [])
    }
    if value("labels") == nil, let label = value("label") {
      throw wrong(
        label,
        "\"label\" is for a head, and there is none; use {\"ids\",\"labels\"}, or an adapter with a head"
      )
    }
    let labels = try integers("labels")
    guard ids.count == labels.count, !ids.isEmpty else {
      throw .wrongRow(
        place,
        "\(ids.count) ids and \(labels.count) labels; expected as many of both, at least one"
      )
    }
    return .tokens(ids: ids, labels: labels)
  }

  private mutating func integers(_ key: String) throws(ReFTError) -> [Int32] {
    let node = value(key)
    guard case .list(let items)? = node?.content else {
      throw wrong(node, "\"\(key)\" must be a list of token ids, found \(node?.kind ?? "nothing")")
    }
    var result: [Int32] = []
    result.reserveCapacity(items.count)
    for item in items {
      guard case .integer(let number) = item.content, let id = Int32(exactly: number) else {
        throw wrong(
          item,
          "item \(result.count) of \"\(key)\" must be a whole number of 32 bits, found "
            + (item.number == nil ? item.kind : item.shown)
        )
      }
      result.append(id)
    }
    return result
  }

  // MARK: Conversations

  /// The messages of a conversation.
  ///
  /// - Parameter answered: whether the last must be the assistant's; else one that is, is dropped.
  /// - Returns: the messages.
  /// - Throws: `badData` with the place of what is no message.
  mutating func messages(answered: Bool) throws(ReFTError) -> [ChatMessage] {
    let node = value("messages")
    guard case .list(let items)? = node?.content, !items.isEmpty else {
      throw wrong(node, "\"messages\" must be a list of {\"role\",\"content\"}, at least one")
    }
    var result: [ChatMessage] = []
    for (index, item) in items.enumerated() {
      guard case .object(let members) = item.content else {
        throw wrong(item, "message \(index) must be {\"role\",\"content\"}, found \(item.kind)")
      }
      let place = "\(path):\(item.place)"
      var fields = RowFields(members: members, path: path, place: place)
      result.append(try fields.message(index))
      try fields.finishMessage(index)
    }
    let isAnswered = result.last?.role == "assistant"
    if !answered { return isAnswered ? result.dropLast() : result }
    guard isAnswered else {
      throw wrong(
        items.last,
        "the last message is of \"\(result.last?.role ?? "")\"; a row to learn from ends with the "
          + "assistant's answer"
      )
    }
    return result
  }

  /// The roles that chat templates know.
  private static let roles = ["system", "developer", "user", "assistant", "tool"]

  private mutating func message(_ index: Int) throws(ReFTError) -> ChatMessage {
    let node = value("role")
    guard let role = node?.word, Self.roles.contains(role) else {
      throw wrong(
        node,
        "message \(index): \"role\" is \(node?.shown ?? "missing"); expected "
          + Self.roles.joined(separator: ", ")
      )
    }
    return ChatMessage(role: role, content: try content(index))
  }

  /// The content of a message: a text, or a list of parts that are all texts.
  private mutating func content(_ index: Int) throws(ReFTError) -> String {
    let node = value("content")
    if case .list(let parts)? = node?.content, !parts.isEmpty {
      var result = ""
      for part in parts {
        guard part["type"]?.word == "text", case .text(let text)? = part["text"]?.content else {
          throw wrong(
            part,
            "message \(index): a part of \"content\" is no text; this program reads "
              + "{\"type\":\"text\",\"text\"} alone"
          )
        }
        result += text
      }
      return result
    }
    guard case .text(let text)? = node?.content else {
      throw wrong(
        node,
        "message \(index): \"content\" must be a text, found \(node?.kind ?? "nothing")"
      )
    }
    return text
  }

  // MARK: What is left

  /// Ends the reading of a row.
  ///
  /// - Throws: `badData` for a key that says something about what the model should see and that nothing
  ///   read.
  func finish(_ unread: inout UnreadKeys) throws(ReFTError) {
    var others: [String] = []
    for member in members where !used.contains(member.key) && !member.value.isEmpty {
      if let remedy = UnreadKeys.remedies[member.key] {
        throw .keyNotUsed("\(path):\(member.place)", key: member.key, remedy: remedy)
      }
      if others.count < UnreadKeys.shownCount { others.append(member.key) }
    }
    if !others.isEmpty { unread.count(others, place: place) }
  }

  private func finishMessage(_ index: Int) throws(ReFTError) {
    for member in members where !used.contains(member.key) && !member.value.isEmpty {
      guard let remedy = UnreadKeys.messageRemedies[member.key] else { continue }
      throw .keyNotUsed(
        "\(path):\(member.place): message \(index)",
        key: member.key,
        remedy: remedy
      )
    }
  }
}
