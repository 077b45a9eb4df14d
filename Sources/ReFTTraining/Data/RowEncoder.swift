// SPDX-License-Identifier: Apache-2.0
// From a row's texts to tokens and labels.

import ReFTTensor
public import ReFTText

/// What turns texts into tokens; a model's tokenizer is the usual one.
public protocol TextCoding: Sendable {
  /// The token that ends a completion; nil when the vocabulary has none.
  var eos: Int32? { get }
  /// The number of tokens.
  var vocabularySize: Int { get }
  /// Turns text into tokens; `addBOS` nil does what the model says.
  func encode(_ text: String, parseSpecial: Bool, addBOS: Bool?) -> [Int32]
  /// The same, but of more than `limit` tokens only the first ones, more than `limit` of them.
  func encode(_ text: String, parseSpecial: Bool, addBOS: Bool?, limit: Int) -> [Int32]
}

extension TextCoding {
  /// Encodes the whole text, however long it is.
  public func encode(
    _ text: String,
    parseSpecial: Bool,
    addBOS: Bool?,
    limit: Int
  ) -> [Int32] {
    encode(text, parseSpecial: parseSpecial, addBOS: addBOS)
  }
}

extension Tokenizer: TextCoding {}

/// Turns rows into examples.
struct RowEncoder {
  let coder: any TextCoding
  let template: Template
  let chatTemplate: ChatTemplate?
  /// Whether completions end with the end-of-sequence token.
  let appendsEndOfSequence: Bool
  /// The most tokens that are of use: of longer rows no more than is needed to tell is encoded.
  var limit = Int.max

  /// The tokens and labels of a row; prompt and completion are tokenised apart.
  ///
  /// - Throws: `badData` for foreign tokens and conversations that fit no template, `usage` where a
  ///   chat template is missing, `badConfiguration` where an end-of-sequence token is.
  func example(_ row: DataRow, place: String) throws(ReFTError) -> Example {
    switch row {
    case .completion(let prompt, let completion):
      return try example(prompt: prompt, completion: completion, addBOS: nil)
    case .instruction(let instruction, let input, let output):
      let prompt = try template.prompt(
        instruction: instruction,
        input: input,
        chatTemplate: chatTemplate
      )
      return try templated(prompt: prompt, output: output)
    case .messages(let messages):
      return try conversation(messages, place: place)
    case .text(let text):
      let ids = coder.encode(text, parseSpecial: true, addBOS: nil, limit: limit)
      guard !ids.isEmpty else { throw .wrongRow(place, "\"text\" is empty; remove the row") }
      return Example(ids: ids, labels: [Example.noLabel] + ids.dropFirst(), promptLength: ids.count)
    case .tokens(let ids, let labels):
      return try tokens(ids: ids, labels: labels, place: place)
    }
  }

  /// A prompt that the template wrote; a chat template writes the markers of the beginning itself.
  private func templated(prompt: String, output: String) throws(ReFTError) -> Example {
    try example(
      prompt: prompt,
      completion: template.completion(of: output),
      addBOS: template == .chat ? false : nil
    )
  }

  private func example(
    prompt: String,
    completion: String,
    addBOS: Bool?
  ) throws(ReFTError) -> Example {
    let head = coder.encode(prompt, parseSpecial: true, addBOS: addBOS, limit: limit)
    let rest = max(0, limit - head.count)
    var tail = coder.encode(completion, parseSpecial: true, addBOS: false, limit: rest)
    if appendsEndOfSequence {
      guard let eos = coder.eos else { throw .noEndOfSequence() }
      tail.append(eos)
    }
    return Example(
      ids: head + tail,
      labels: [Int32](repeating: Example.noLabel, count: head.count) + tail,
      promptLength: head.count
    )
  }

  private func conversation(
    _ messages: [ChatMessage],
    place: String
  ) throws(ReFTError) -> Example {
    let answer = messages[messages.count - 1].content
    if template == .chat {
      let prompt = try Template.chatPrompt(Array(messages.dropLast()), chatTemplate)
      return try templated(prompt: prompt, output: answer)
    }
    guard messages.count == 2, messages[0].role == "user" else {
      throw .messagesNeedChat(place, template: template)
    }
    return try example(
      .instruction(instruction: messages[0].content, input: "", output: answer),
      place: place
    )
  }

  private func tokens(
    ids: [Int32],
    labels: [Int32],
    place: String
  ) throws(ReFTError) -> Example {
    let range = 0..<Int32(clamping: coder.vocabularySize)
    if let id = ids.first(where: { !range.contains($0) }) {
      throw .foreignToken(place, "ids", id: id, size: coder.vocabularySize)
    }
    if let id = labels.first(where: { !range.contains($0) && $0 != Example.noLabel }) {
      throw .foreignToken(place, "labels", id: id, size: coder.vocabularySize)
    }
    let prompt = labels.prefix { $0 == Example.noLabel }.count
    return Example(ids: ids, labels: labels, promptLength: prompt)
  }
}
