// SPDX-License-Identifier: Apache-2.0
// The formats of a row, told apart by its keys; the same for data and for prompts.

import ReFTTensor
import ReFTText

/// One row of a data file.
enum DataRow: Equatable {
  /// A prompt and what follows it, both as they are.
  case completion(prompt: String, completion: String)
  /// An instruction with what must answer it; the template words it.
  case instruction(instruction: String, input: String, output: String)
  /// A conversation; in data it ends with the assistant's answer, in prompts before it.
  case messages([ChatMessage])
  /// Running text.
  case text(String)
  /// Tokens as they are; a label of −100 is none.
  case tokens(ids: [Int32], labels: [Int32])
  /// A prompt with two answers, of which the first was preferred.
  case preference(prompt: Prompt, chosen: String, rejected: String)
  /// A text, or two, with a head's label; without one where none is looked for.
  case labelled(text: String, pair: String?, label: LabelValue?)
  /// The same of tokens as they are.
  case labelledTokens(ids: [Int32], label: LabelValue?)

  /// What a row is read for.
  enum Purpose {
    /// To learn from it, or to be scored: it has an answer.
    case learning
    /// To be answered: an answer that stands there too is not looked at.
    case prompting
    /// To teach a head, or to score it: it has a label.
    case labelling
    /// To teach which of two answers is preferred.
    case comparing
    /// To be embedded: a label that stands there too is not looked at.
    case embedding

    /// Whether a head's labels are read, or would be there.
    var takesLabels: Bool { self == .labelling || self == .embedding }

    /// The formats, for messages.
    var formats: String {
      switch self {
      case .learning:
        "{\"prompt\",\"completion\"}, {\"instruction\",\"input\",\"output\"}, {\"messages\"}, {\"text\"}, "
          + "{\"question\",\"answer\"} or {\"ids\",\"labels\"}"
      case .prompting:
        "{\"prompt\"}, {\"instruction\",\"input\"}, {\"messages\"}, {\"chat\"}, {\"question\"} or "
          + "{\"ids\"}"
      case .comparing:
        "{\"prompt\",\"chosen\",\"rejected\"} or {\"instruction\",\"input\",\"chosen\",\"rejected\"}"
      case .labelling:
        "{\"text\",\"label\"}, {\"text\",\"text_pair\",\"label\"} or {\"ids\",\"label\"}"
      case .embedding: "{\"text\"}, {\"text\",\"text_pair\"} or {\"ids\"}"
      }
    }
  }

  /// Reads a row.
  ///
  /// Where a row fits several formats, the first of ids, messages, chat, prompt, instruction, question
  /// and text is taken.
  ///
  /// - Parameters:
  ///   - row: what stands in the file.
  ///   - path: the file, for messages.
  ///   - purpose: whether the row must have an answer.
  ///   - usesChat: whether instructions go through the chat template, which has a place for "system"
  ///     and "history".
  ///   - readsSources: whether somebody reads "source_prompt".
  ///   - unread: counts keys that nothing reads.
  /// - Throws: `badData` naming the place, when the row is in none of the formats, or has a key that
  ///   would change what the model sees and that nothing reads.
  init(
    _ row: RowReader.Row,
    path: String,
    purpose: Purpose,
    usesChat: Bool,
    readsSources: Bool = false,
    unread: inout UnreadKeys
  ) throws(ReFTError) {
    let place = "\(path):\(row.line)"
    guard case .object(let members) = row.node.content else {
      throw .wrongRow(
        place,
        "expected an object such as {\"prompt\":…}, found \(row.node.kind)"
      )
    }
    var fields = RowFields(members: members, path: path, place: place)
    fields.skip(["subspace"])
    if readsSources { fields.skip(["source_prompt"]) }
    if purpose.takesLabels {
      guard let row = try fields.labelled(withLabel: purpose == .labelling) else {
        throw .wrongRow(
          place,
          "expected \(purpose.formats), found \(Self.listed(members.map(\.key)))"
        )
      }
      self = row
      try fields.finish(&unread)
      return
    }
    if purpose == .comparing {
      guard let row = try fields.preference() else {
        throw .wrongRow(
          place,
          "expected \(purpose.formats), found \(Self.listed(members.map(\.key)))"
        )
      }
      self = row
      try fields.finish(&unread)
      return
    }
    let answers = purpose == .learning
    let has = { (key: String) in members.contains { $0.key == key } }
    if has("ids") {
      self = try fields.tokens(withLabels: answers)
    } else if has("messages") {
      self = .messages(try fields.messages(answered: answers))
    } else if !answers, has("chat") {
      self = .messages([ChatMessage(role: "user", content: try fields.text("chat"))])
    } else if has("prompt"), !answers || has("completion") {
      let prompt = try fields.text("prompt")
      self = .completion(
        prompt: prompt,
        completion: answers ? try fields.text("completion") : ""
      )
    } else if has("instruction"), !answers || has("output") {
      self = try fields.instruction("instruction", "output", answers: answers, usesChat: usesChat)
    } else if has("question"), !answers || has("answer") {
      self = try fields.instruction("question", "answer", answers: answers, usesChat: usesChat)
    } else if answers, has("text") {
      self = .text(try fields.text("text"))
    } else {
      throw .wrongRow(
        place,
        "expected \(purpose.formats), found \(Self.listed(members.map(\.key)))"
      )
    }
    if !answers { fields.skip(["completion", "output", "answer", "labels", "label"]) }
    try fields.finish(&unread)
  }

  /// The label of a head; nil where the row has none.
  var label: LabelValue? {
    switch self {
    case .labelled(_, _, let label), .labelledTokens(_, let label): label
    default: nil
    }
  }

  private static func listed(_ keys: [String]) -> String {
    guard !keys.isEmpty else { return "the keys of an empty object" }
    let shown = keys.prefix(8).map { "\"\($0.shown(40))\"" }.joined(separator: ", ")
    return "the keys \(shown)" + (keys.count > 8 ? " and \(keys.count - 8) more" : "")
  }
}
