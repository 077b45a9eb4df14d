// SPDX-License-Identifier: Apache-2.0
// What can be wrong with the tokenizer that a model file describes.

import ReFTTensor

extension ReFTError {
  static func tokenizerAbsent(_ path: String) -> ReFTError {
    ReFTError(
      .inputMissing,
      "\(path): the model's folder has no tokenizer.json or tokenizer.model, so that texts have no "
        + "tokens; put it there, or give token ids"
    )
  }

  static func tokenizerKeyMissing(_ key: String, path: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(path): the tokenizer's key '\(key)' is missing or of another type than expected; "
        + "convert the model again with its tokenizer"
    )
  }

  static func tokenizerModelUnsupported(_ model: String, path: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(path): tokenizer.ggml.model is '\(model)'; supported are 'gpt2' (byte-level BPE), "
        + "'llama' (SentencePiece's BPE), 't5' (unigrams) and 'bert' (WordPiece); use a model with such a tokenizer"
    )
  }

  static func preTokenizerUnsupported(_ name: String, path: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(path): tokenizer.ggml.pre is '\(name)'; supported are "
        + PreTokenizer.supportedNames.joined(separator: ", ")
        + "; use a model with one of these"
    )
  }

  static func tokenizerCountMismatch(
    _ key: String,
    count: Int,
    tokens: Int,
    path: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "\(path): \(key) has \(count) entries for \(tokens) tokens; expected one per token; "
        + "the file is damaged, fetch or convert it again"
    )
  }

  static func tokenKindUnknown(_ kind: Int, id: Int, path: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(path): token \(id) has the type \(kind); expected 1 to 6; "
        + "the file is damaged, fetch or convert it again"
    )
  }

  static func tokenScoreNotFinite(_ score: Float, id: Int, path: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(path): token \(id) has the score \(score); expected a finite number; "
        + "the file is damaged, fetch or convert it again"
    )
  }

  static func tokenizerPart(
    _ path: String,
    _ place: TextPlace,
    _ key: String,
    _ found: String,
    _ expected: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "\(path):\(place): \(key) is \(found); expected \(expected); use a model with such a "
        + "tokenizer, or its GGUF file"
    )
  }

  static func tokenizerTokenMissing(_ path: String, role: String, text: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(path): the \(role) token is '\(text.shown())', which the vocabulary of tokenizer.json "
        + "lacks; both files must be of one model"
    )
  }

  static func tokenDuplicated(_ text: String, first: Int, second: Int, path: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(path): tokens \(first) and \(second) have the same text '\(text)'; expected distinct "
        + "texts; the file is damaged, fetch or convert it again"
    )
  }

  static func mergeMalformed(_ merge: String, index: Int, path: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(path): merge \(index) is '\(merge)'; expected two tokens with one space between them; "
        + "the file is damaged, fetch or convert it again"
    )
  }

  static func mergeOfUnknownToken(
    _ token: String,
    merge: String,
    index: Int,
    path: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "\(path): merge \(index), '\(merge)', needs the token '\(token)', which the vocabulary does "
        + "not have; the file is damaged, fetch or convert it again"
    )
  }

  static func tokenIdOutOfRange(_ key: String, id: Int, tokens: Int, path: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(path): \(key) is \(id); expected 0 to \(tokens - 1), the ids of the vocabulary; "
        + "the file is damaged, fetch or convert it again"
    )
  }

  static func tokenizerTooLarge(_ what: String, count: Int, limit: Int, path: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(path): the tokenizer has \(count) \(what); at most \(limit) are supported; "
        + "the file is damaged, fetch or convert it again"
    )
  }
}
