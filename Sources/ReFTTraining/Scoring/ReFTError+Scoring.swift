// SPDX-License-Identifier: Apache-2.0
// What can be wrong with a wish for gradients.

import Foundation
import ReFTTensor

extension ReFTError {
  static func lossNotFinite(_ place: String, loss: Double, hasAdapter: Bool) -> ReFTError {
    ReFTError(
      .badData,
      "\(place): the loss of this row is \(loss), though all weights of the model are finite; "
        + (hasAdapter
          ? "the adapter's edit is too strong: take an earlier or a weaker one"
          : "they are too large for float32: convert the model anew")
    )
  }

  static func gradientsNeedAdapter(found: Int) -> ReFTError {
    ReFTError(
      .usage,
      "gradients are those of one adapter's parameters, and there "
        + (found == 0 ? "is none; give --adapter" : "are \(found) adapters; give one")
    )
  }

  static func gradientsOfRandomNumbers(plugins: [String]) -> ReFTError {
    ReFTError(
      .usage,
      "the adapter's gradient would be random: with another random key, training gives other losses, and "
        + "of its plugins \(plugins.joined(separator: ", ")) may draw numbers; set the option that does "
        + "it, such as dropout, to 0 in adapter_config.json"
    )
  }
}
