// SPDX-License-Identifier: Apache-2.0
// The words of a folder as the keys of a GGUF file, such that the file is read as the folder is.

import Foundation
public import ReFTTensor

extension ModelText {
  /// What a GGUF file has to say of words: the tokenizer's keys and the chat template.
  ///
  /// A folder without a tokenizer gives a file that says so.
  ///
  /// - Parameter source: a stored model; one in GGUF says it itself, and gives nothing here.
  /// - Returns: the keys in the order in which they are written.
  /// - Throws: as `init`, and `badData` for a tokenizer that GGUF has no keys for.
  public static func outputValues(
    of source: any TensorSource
  ) throws(ReFTError) -> [(key: String, value: GGUFOutputValue)] {
    guard source.format == .huggingFace else { return [] }
    guard let path = tokenizerFile(in: source.path) else {
      return [("tokenizer.ggml.model", .string(TokenizerMetadata.noneInGGUF[0]))]
    }
    let settings = try TokenizerSettings(folder: source.path)
    let text = try ModelText(source)
    var metadata =
      path.hasSuffix(".json")
      ? try TokenizerFile(path: path).metadata : try SentencePieceFile(path: path).metadata
    try settings.apply(to: &metadata)
    var values = try metadata.outputValues(text.tokenizer, path: path)
    if let template = settings.chatTemplate {
      values.append(("tokenizer.chat_template", .string(template.source)))
    }
    return values
  }
}
