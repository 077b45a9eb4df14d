// SPDX-License-Identifier: Apache-2.0
// Texts of a contrast as tokens: as they are, or through the model's chat template.

public import ReFTHost
import ReFTModel
public import ReFTTensor
import ReFTText

/// A text of a contrast as tokens.
public struct EncodedContrast: Sendable, Equatable {
  /// The tokens.
  public var ids: [Int32]
  /// How many of them are the prompt; all of them where there is no completion.
  public var promptLength: Int
  /// Where the text stands, for messages.
  public var place: String

  /// Joins tokens and their place.
  public init(ids: [Int32], promptLength: Int, place: String) {
    (self.ids, self.promptLength, self.place) = (ids, promptLength, place)
  }

  /// One label per token: those after the prompt are to be predicted.
  var labels: [Int32] {
    [Int32](repeating: EncodedText.noLabel, count: promptLength) + ids.dropFirst(promptLength)
  }
}

/// Turns texts into tokens, the same words into the same ids as everywhere.
public struct ContrastEncoder: Sendable {
  private let words: PromptEncoder
  private let model: LoadedModel
  /// Whether prompts, and texts without one, are a user's messages.
  public let usesChat: Bool
  private let maxLength: Int?

  /// Prepares encoding.
  ///
  /// - Parameters:
  ///   - model: whose tokenizer and chat template are used.
  ///   - usesChat: whether prompts, and texts without one, are a user's messages.
  ///   - maxLength: the most tokens of a text, of longer ones the first; nil: longer ones than the
  ///     model's context are errors.
  public init(model: LoadedModel, usesChat: Bool, maxLength: Int? = nil) {
    words = PromptEncoder(
      coder: model.tokenizer,
      chatTemplate: model.text.chatTemplate,
      appendsEndOfSequence: false,
      model: model.path
    )
    self.model = model
    self.usesChat = usesChat
    self.maxLength = maxLength
  }

  /// Encodes a text.
  ///
  /// - Parameters:
  ///   - text: the text.
  ///   - instruction: what is put before the prompt, or the text, with an empty line between them.
  /// - Returns: its tokens.
  /// - Throws: `badData` with the place for a text without tokens or beyond the context; what the
  ///   chat template throws.
  public func encode(
    _ text: ContrastText,
    instruction: String? = nil
  ) throws(ReFTError) -> EncodedContrast {
    let before = instruction.map { $0 + "\n\n" } ?? ""
    var result: EncodedContrast
    if let prompt = text.prompt {
      let encoded = try words.encode(self.prompt(before + prompt), answer: text.text)
      result = EncodedContrast(
        ids: encoded.ids,
        promptLength: encoded.promptLength,
        place: text.place
      )
    } else {
      let ids = try words.ids(of: prompt(before + text.text))
      result = EncodedContrast(ids: ids, promptLength: ids.count, place: text.place)
    }
    if let maxLength, result.ids.count > maxLength {
      result.ids = Array(result.ids.prefix(maxLength))
      result.promptLength = min(result.promptLength, maxLength)
    }
    guard !result.ids.isEmpty else { throw .contrastWithoutTokens(text.place) }
    let context = model.configuration.contextLength
    guard result.ids.count <= context else {
      throw .contrastTooLong(text.place, tokens: result.ids.count, context: context)
    }
    return result
  }

  /// Encodes texts, in their order; throws as the version for one.
  public func encode(
    _ texts: [ContrastText],
    instruction: String? = nil
  ) throws(ReFTError) -> [EncodedContrast] {
    var result: [EncodedContrast] = []
    for text in texts { result.append(try encode(text, instruction: instruction)) }
    return result
  }

  /// A prompt as the model is asked.
  func prompt(_ text: String) -> Prompt {
    usesChat ? .chat([ChatMessage(role: "user", content: text)]) : .text(text)
  }

  /// The tokens of a plain text.
  func ids(ofText text: String) -> [Int32] { words.ids(ofText: text) }
}
