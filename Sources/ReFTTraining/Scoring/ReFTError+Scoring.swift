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

  static func gradientsWithDropout(plugin: String, dropout: String) -> ReFTError {
    ReFTError(
      .usage,
      "plugin '\(plugin)' of the adapter has dropout \(dropout), so its gradient would be random; "
        + "set the option to 0 in adapter_config.json"
    )
  }
}
