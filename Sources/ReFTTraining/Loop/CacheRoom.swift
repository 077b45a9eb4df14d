// SPDX-License-Identifier: Apache-2.0
// How much memory the caches of a run may take together.

/// Bytes that caches share: `train.cache_megabytes`.
package final class CacheRoom {
  private let limit: Int
  private var used = 0

  /// Room for as many bytes, all of it free.
  package init(bytes limit: Int) { self.limit = limit }

  /// Whether there is room for as many more.
  func has(_ bytes: Int) -> Bool { used + bytes <= limit }

  /// Counts bytes as taken.
  func take(_ bytes: Int) { used += bytes }

  /// Counts bytes as free again.
  func give(_ bytes: Int) { used -= bytes }
}
