// SPDX-License-Identifier: Apache-2.0
// What a model file says about words: its tokenizer and its chat template.

public import ReFTTensor

/// What turns text into a model's tokens.
public struct ModelText: Sendable {
  /// The file that they were read from.
  public let path: String
  /// The model's tokenizer.
  public let tokenizer: Tokenizer
  /// The model's chat template, when the file has one.
  public let chatTemplate: ChatTemplate?

  /// The tokens that end a reply, that at the end of the chat template's turns among them.
  public var stopIds: Set<Int32> {
    let end = chatTemplate?.endOfTurn(tokenizer)
    return end.map { tokenizer.stopIds.union([$0]) } ?? tokenizer.stopIds
  }

  /// Reads the tokenizer and the chat template of a model file.
  ///
  /// - Throws: `badData` naming the key, token or merge that is missing or does not fit.
  public init(gguf: GGUFFile) throws(ReFTError) {
    let tokenizer = try Tokenizer(gguf: gguf)
    self.tokenizer = tokenizer
    path = gguf.file.path
    chatTemplate = gguf.string("tokenizer.chat_template").map { source in
      ChatTemplate(
        source: source,
        bos: tokenizer.bos.map { tokenizer.piece($0) } ?? "",
        eos: tokenizer.eos.map { tokenizer.piece($0) } ?? "",
        origin: "\(gguf.file.path): tokenizer.chat_template"
      )
    }
  }
}
