// SPDX-License-Identifier: Apache-2.0
// What can be wrong with a request for text.

import ReFTTensor

extension ReFTError {
  static func emptyPrompt() -> ReFTError {
    ReFTError(
      .usage,
      "the prompt has no token, and the model adds no start token of its own; give some text"
    )
  }

  static func emptyStopText() -> ReFTError {
    ReFTError(.usage, "a stop text is empty, which would end every text at once; leave it out")
  }

  static func tooFewTokens(_ count: Int) -> ReFTError {
    ReFTError(.usage, "max-tokens is \(count); expected 1 or more")
  }

  static func batchTooSmall(_ size: Int) -> ReFTError {
    ReFTError(.usage, "batch-size is \(size); expected 1 or more")
  }

  static func promptTokenOutOfRange(
    _ id: Int32,
    index: Int,
    vocabularySize: Int
  ) -> ReFTError {
    ReFTError(
      .usage,
      "token \(index) of the prompt is \(id); expected 0 to \(vocabularySize - 1), the ids of the "
        + "model; were these ids made for another model?"
    )
  }

  static func contextExceeded(
    prompt: Int,
    maxTokens: Int,
    contextLength: Int
  ) -> ReFTError {
    ReFTError(
      .usage,
      "the prompt has \(prompt) tokens and \(maxTokens) more may follow, but the model's context "
        + "holds \(contextLength); "
        + (prompt < contextLength
          ? "ask for at most \(contextLength - prompt) tokens" : "shorten the prompt")
    )
  }

  /// The model's weights and the adapter's parameters are numbers, and the output is none.
  static func logitsNotFinite(token: Int, value: Float, hasAdapter: Bool) -> ReFTError {
    ReFTError(
      .badData,
      "the model's output for token \(token) is \(value), though all its weights are finite; "
        + (hasAdapter
          ? "the adapter's edit is too strong for it: take an earlier or a weaker one"
          : "they are too large for float32: convert the model anew")
    )
  }

  static func ofRequest(_ index: Int, _ error: ReFTError) -> ReFTError {
    ReFTError(error.code, "request \(index): \(error.message)", cause: error)
  }
}
