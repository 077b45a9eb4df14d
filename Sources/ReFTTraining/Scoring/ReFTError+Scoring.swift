// SPDX-License-Identifier: Apache-2.0
// What can be wrong with a wish for gradients.

import Foundation
import ReFTTensor

extension ReFTError {
  static func gradientsNeedAdapter() -> ReFTError {
    ReFTError(
      .usage,
      "gradients are those of an adapter's parameters, and there is none; give --adapter"
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
