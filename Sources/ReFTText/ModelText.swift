// SPDX-License-Identifier: Apache-2.0
// What a model file says about words: its tokenizer and its chat template.

import Foundation
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

  /// Reads the tokenizer and the chat template of a stored model.
  ///
  /// A folder without tokenizer.json or tokenizer.model gets a tokenizer that knows ids alone.
  ///
  /// - Throws: as `init(gguf:)`.
  public init(_ source: any TensorSource) throws(ReFTError) {
    if let gguf = source as? GGUFFile {
      try self.init(gguf: gguf)
    } else {
      try self.init(folder: source)
    }
  }

  private init(folder source: any TensorSource) throws(ReFTError) {
    if Self.tokenizerFile(in: source.path) != nil {
      try self.init(folder: source.path)
      return
    }
    var count = 0
    if case .int(let size) = source.metadata["vocab_size"] { count = Int(clamping: size) }
    let known = TokenizerMetadata(absentFor: min(count, 1 << 24))
    self.init(path: source.path, tokenizer: try Tokenizer(known, path: source.path))
  }

  private init(path: String, tokenizer: Tokenizer) {
    self.path = path
    self.tokenizer = tokenizer
    chatTemplate = nil
  }

  /// The names of a tokenizer's file in a folder, the first that is there counts.
  private static let names = ["tokenizer.json", "tokenizer.model"]

  static func tokenizerFile(in folder: String) -> String? {
    names.map { folder + "/" + $0 }.first { FileManager.default.fileExists(atPath: $0) }
  }

  /// Whether a folder holds the file of a tokenizer.
  public static func isReadable(folder: String) -> Bool { tokenizerFile(in: folder) != nil }

  /// Reads the tokenizer and the chat template of a folder, which may hold nothing else.
  ///
  /// - Parameter folder: holds tokenizer.json or SentencePiece's tokenizer.model.
  /// - Throws: `inputMissing` without either; `badData` naming file and place.
  public init(folder: String) throws(ReFTError) {
    guard let path = Self.tokenizerFile(in: folder) else { throw .tokenizerAbsent(folder) }
    let settings = try TokenizerSettings(folder: folder)
    let tokenizer =
      path.hasSuffix(".json")
      ? try Tokenizer(file: path, settings: settings)
      : try Tokenizer(sentencePiece: path, settings: settings)
    self.path = folder
    self.tokenizer = tokenizer
    chatTemplate = settings.chatTemplate.map { template in
      ChatTemplate(source: template.source, of: tokenizer, origin: template.path)
    }
  }

  /// Reads the tokenizer and the chat template of a model file.
  ///
  /// A file that says it has none gets a tokenizer that knows ids alone.
  ///
  /// - Throws: `badData` naming the key, token or merge that is missing or does not fit.
  public init(gguf: GGUFFile) throws(ReFTError) {
    if let kind = gguf.string("tokenizer.ggml.model"), TokenizerMetadata.noneInGGUF.contains(kind) {
      let count = gguf.tensor("token_embd.weight")?.shape.first ?? 0
      let known = TokenizerMetadata(absentFor: min(count, 1 << 24))
      tokenizer = try Tokenizer(known, path: gguf.file.path)
      (path, chatTemplate) = (gguf.file.path, nil)
      return
    }
    let tokenizer = try Tokenizer(gguf: gguf)
    self.tokenizer = tokenizer
    path = gguf.file.path
    chatTemplate = gguf.string("tokenizer.chat_template").map { source in
      let origin = "\(gguf.file.path): tokenizer.chat_template"
      return ChatTemplate(source: source, of: tokenizer, origin: origin)
    }
  }
}

extension ChatTemplate {
  /// Takes a template that writes the texts of a tokenizer's own tokens.
  fileprivate init(source: String, of tokenizer: Tokenizer, origin: String) {
    self.init(
      source: source,
      bos: tokenizer.bos.map { tokenizer.piece($0) } ?? "",
      eos: tokenizer.eos.map { tokenizer.piece($0) } ?? "",
      origin: origin
    )
  }
}
