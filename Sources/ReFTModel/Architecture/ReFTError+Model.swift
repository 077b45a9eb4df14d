// SPDX-License-Identifier: Apache-2.0
// What can be wrong with a model file, and with a batch that a model is given.

import ReFTTensor

extension ReFTError {
  static func missingMetadata(_ key: String, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' has no usable metadata value '\(key)'; convert the model again, with a "
        + "current converter."
    )
  }

  static func metadataOutOfRange(
    _ key: String,
    _ value: Int,
    _ range: ClosedRange<Int>,
    _ path: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' says \(key) = \(value); expected \(range.lowerBound) to "
        + "\(range.upperBound). The file is damaged or no language model."
    )
  }

  static func unknownArchitecture(_ name: String, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' has architecture '\(name)'; this version runs 'llama'. Convert or choose "
        + "another model."
    )
  }

  static func headsDoNotFit(
    heads: Int,
    keyValueHeads: Int,
    headSize: Int,
    _ path: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' has \(heads) query heads, \(keyValueHeads) key-value heads and head size "
        + "\(headSize); expected key-value heads that divide the query heads and an even size."
    )
  }

  static func unknownRotation(
    dimensions: Int,
    headSize: Int,
    scaling: String,
    _ path: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' rotates \(dimensions) of \(headSize) dimensions with scaling "
        + "'\(scaling)'; this version rotates whole heads with scaling 'none' or 'linear'."
    )
  }

  static func missingTensor(_ name: String, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' has no tensor '\(name)' of the expected rank; the file is incomplete."
    )
  }

  static func tensorShape(
    _ name: String,
    found: [Int],
    expected: [Int],
    _ path: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "Tensor '\(name)' of model '\(path)' has dimensions \(found); expected \(expected) from the "
        + "model's metadata. The file is damaged."
    )
  }

  static func tokenOutOfRange(_ token: Int32, at index: Int, vocabularySize: Int) -> ReFTError {
    ReFTError(
      .badData,
      "Token \(index) of the batch has id \(token); expected 0 to \(vocabularySize - 1). The ids "
        + "belong to another tokenizer."
    )
  }

  static func sequenceTooLong(_ count: Int, contextLength: Int) -> ReFTError {
    ReFTError(
      .badData,
      "A sequence has \(count) tokens; the model's context holds \(contextLength). Shorten the "
        + "text or lower the number of new tokens."
    )
  }

  static func emptySequence() -> ReFTError {
    ReFTError(.badData, "A sequence has no tokens; expected at least one. Give a text.")
  }
}
