// SPDX-License-Identifier: Apache-2.0
// Faults of what is to be measured.

import ReFTTensor

extension ReFTError {
  static func textTooShort(tokens: Int) -> ReFTError {
    ReFTError(
      .badData,
      "The text has \(tokens) tokens; at least 2 are needed, one to predict the other. Give a longer "
        + "text."
    )
  }
}
