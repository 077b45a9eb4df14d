// SPDX-License-Identifier: Apache-2.0
// What the frozen lower blocks compute, kept from one run to the next where both would compute the same.

import ReFTHost
import ReFTModel
import ReFTTensor

/// The kept activations of the last run, for further runs in the same process.
///
/// They are taken over where model, arithmetic, lowest edited block and the tokens of all examples are
/// the same; then they are the bits that the run itself would have computed.
public final class SharedActivations {
  private var key: String?
  private var cache: ActivationCache?
  /// How many runs went on with what an earlier one had kept.
  public private(set) var reuses = 0

  /// Nothing is kept yet.
  public init() {}

  /// What is kept for a key; what was kept for another is dropped.
  func cache(for key: String, make: () -> ActivationCache) -> ActivationCache {
    if key == self.key, let cache {
      reuses += 1
      return cache
    }
    let fresh = make()
    (self.key, cache) = (key, fresh)
    return fresh
  }
}

extension TrainingData {
  /// Names the tokens of all examples, in the order in which caches number them.
  var tokenDigest: String {
    var digest = SHA256Digest()
    for set in [training, validation] {
      for example in set?.examples ?? [] {
        let other = example.rejected?.ids ?? []
        let counts = [example.ids, example.types, other].map { Int32($0.count) }
        for numbers in [counts, example.ids, example.types, other] {
          numbers.withUnsafeBytes { digest.update($0) }
        }
      }
      digest.update("end of the rows")
    }
    return digest.finish()
  }
}
