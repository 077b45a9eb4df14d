// SPDX-License-Identifier: Apache-2.0
// The one way from words to tokens. Training, scoring, generation and chat all go through it, so that
// a model is asked as it was trained.

public import ReFTTensor

/// Turns prompts, answers and running texts into tokens: the same words give the same ids everywhere.
///
/// - A text begins with the beginning-of-text token exactly where the tokenizer says so; where the
///   text begins with it already, as many chat templates write it, it is not put there twice.
/// - Prompt and answer are tokenised apart.
/// - An answer ends with the end-of-sequence token; in a conversation, with the token that the chat
///   template writes at the end of the assistant's turn.
public struct PromptEncoder: Sendable {
  private let coder: any TextCoding
  private let chatTemplate: ChatTemplate?
  /// The template that somebody chose, for this run or this command.
  private let chosen: Template?
  private let usual: Template
  private let appendsEndOfSequence: Bool
  private let limit: Int
  private let model: String

  /// Prepares the way from words to tokens.
  ///
  /// - Parameters:
  ///   - coder: the model's tokenizer.
  ///   - chatTemplate: the model's, when it has one.
  ///   - template: the wording around instructions that the user chose; nil: none was chosen.
  ///   - usual: the wording where none was chosen, such as that of an adapter.
  ///   - appendsEndOfSequence: whether answers end with a token that says so.
  ///   - limit: the most tokens that are of use: of longer texts no more than is needed to tell is
  ///     encoded.
  ///   - model: what messages call the model.
  public init(
    coder: any TextCoding,
    chatTemplate: ChatTemplate?,
    template: Template? = nil,
    usual: Template = .none,
    appendsEndOfSequence: Bool = true,
    limit: Int = .max,
    model: String = "the model"
  ) {
    self.coder = coder
    self.chatTemplate = chatTemplate
    chosen = template
    self.usual = usual
    self.appendsEndOfSequence = appendsEndOfSequence
    self.limit = limit
    self.model = model
  }

  /// Prepares the way from words to the tokens of a model.
  public init(_ text: ModelText, template: Template? = nil, usual: Template = .none) {
    self.init(
      coder: text.tokenizer,
      chatTemplate: text.chatTemplate,
      template: template,
      usual: usual,
      model: text.path
    )
  }

  /// The wording around instructions.
  public var template: Template { chosen ?? usual }

  // MARK: Prompts

  /// The tokens of a text with nothing after it.
  public func ids(ofText text: String) -> [Int32] {
    let ids = coder.encode(text, parseSpecial: true, addBOS: false, limit: limit)
    guard coder.addsBOS, let bos = coder.bos, ids.first != bos else { return ids }
    return [bos] + ids
  }

  /// The tokens of a prompt.
  ///
  /// - Throws: `usage` for a conversation where the model has no chat template, or where another
  ///   template was chosen; `badData` where the chat template cannot write it.
  public func ids(of prompt: Prompt) throws(ReFTError) -> [Int32] {
    if case .ids(let ids) = prompt { return ids }
    try coder.requirePresent()
    switch prompt {
    case .ids(let ids): return ids
    case .text(let text): return ids(ofText: text)
    case .chat(let messages):
      if let chosen, chosen != .chat { throw .conversationNeedsChat(chosen) }
      return try ids(ofChat: messages)
    case .instruction(let instruction, let input):
      guard let text = template.prompt(instruction: instruction, input: input) else {
        return try ids(ofChat: [Template.message(instruction: instruction, input: input)])
      }
      return ids(ofText: text)
    }
  }

  private func ids(ofChat messages: [ChatMessage]) throws(ReFTError) -> [Int32] {
    guard let chatTemplate else { throw .noChatTemplate(model) }
    return ids(ofText: try chatTemplate.render(messages, addGenerationPrompt: true))
  }

  // MARK: Texts for heads

  /// A text, or two, with the tokens that the model has around them, no more of them than are of use.
  ///
  /// - Throws: `inputMissing` where the model knows ids alone.
  public func encode(text: String, pair: String?) throws(ReFTError) -> EncodedPair {
    try coder.requirePresent()
    return coder.encode(text, pair: pair, limit: limit, parseSpecial: true)
  }

  // MARK: Rows

  /// A prompt with the answer to learn.
  ///
  /// - Throws: as `ids(of:)`; `badConfiguration` where the tokenizer has no token to end the answer
  ///   with.
  public func encode(_ prompt: Prompt, answer: String) throws(ReFTError) -> EncodedText {
    let head = try ids(of: prompt)
    var answer = answer
    if case .instruction = prompt { answer = template.completion(of: answer) }
    let rest = max(0, limit - head.count)
    var tail = coder.encode(answer, parseSpecial: true, addBOS: false, limit: rest)
    if appendsEndOfSequence {
      guard let end = endOfAnswer(to: prompt) else { throw .noEndOfSequence() }
      tail.append(end)
    }
    return EncodedText(
      ids: head + tail,
      labels: [Int32](repeating: EncodedText.noLabel, count: head.count) + tail,
      promptLength: head.count
    )
  }

  /// The token after an answer: the end of the assistant's turn in a conversation, else of the text.
  private func endOfAnswer(to prompt: Prompt) -> Int32? {
    let isChat =
      switch prompt {
      case .chat: true
      case .instruction: template == .chat
      case .text, .ids: false
      }
    return (isChat ? chatTemplate?.endOfTurn(coder) : nil) ?? coder.eos
  }

  /// A running text, of which all but the first token is to be learnt.
  ///
  /// - Throws: `inputMissing` where the model has no tokenizer.
  public func encode(text: String) throws(ReFTError) -> EncodedText {
    try coder.requirePresent()
    let ids = ids(ofText: text)
    return EncodedText(
      ids: ids,
      labels: ids.isEmpty ? [] : [EncodedText.noLabel] + ids.dropFirst(),
      promptLength: ids.count
    )
  }
}
