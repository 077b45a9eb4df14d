// SPDX-License-Identifier: Apache-2.0
// The texts of kernels.

/// A text of CUDA kernels, complete in itself: compilers find no further file.
package struct KernelSource: Hashable, Sendable {
  /// What messages call it.
  package let name: String
  /// The text, headers in place.
  package let text: String

  /// Kernels from elsewhere, such as those that a plugin offers.
  package init(name: String, text: String) {
    (self.name, self.text) = (name, text)
  }
}
