// SPDX-License-Identifier: Apache-2.0
// How precisely tokens are decoded: activations where they meet quantised weights, keys and values.

/// The numbers that a decoded token is computed with.
public struct DecodePrecision: Hashable, Sendable {
  /// The numbers that activations are rounded to before they meet a weight.
  ///
  /// Training keeps float32 activations, keys and values, and prompts float32 activations; where
  /// products go to matrix tiles both are split in two bfloat16 halves, unless this is `float32`, and
  /// prompts keep the high half alone with `int8`. Without tiles, but with byte products, prompts are
  /// rounded as decoded tokens are; with AVX2 alone weights of F16 and BF16 are rounded, too, to thirteen
  /// bits, for prompts alone. What each choice does to the logits is in docs/performance.md.
  public enum Activations: String, CaseIterable, Sendable {
    /// Eight bits, one scale for every 32 numbers: what llama.cpp does.
    case int8
    /// Two such digits, sixteen bits together: greedy texts are the reference's, and a single
    /// sequence costs the same, since reading the weights is what it waits for.
    case int16
    /// No rounding: weights are expanded for every token.
    case float32
  }

  /// Activations of one int8 digit, float16 keys and values.
  public static let int8 = Self(.int8)
  /// Activations of two int8 digits, float16 keys and values.
  public static let int16 = Self(.int16)
  /// No rounding anywhere.
  public static let float32 = Self(.float32)

  /// What activations are rounded to.
  public var activations: Activations
  /// How the keys and values of a sequence are cached.
  public var cache: CacheFormat

  /// - Parameters:
  ///   - activations: what they are rounded to.
  ///   - cache: how keys and values are cached; without it float16 beside rounded activations,
  ///     float32 beside others.
  public init(_ activations: Activations, cache: CacheFormat? = nil) {
    self.activations = activations
    self.cache = cache ?? (activations == .float32 ? .float32 : .float16)
  }

  /// Whether activations are not rounded.
  public var isExact: Bool { activations == .float32 }

  /// How many int8 digits an activation becomes; nil for none.
  var digits: Int? {
    switch activations {
    case .int8: 1
    case .int16: 2
    case .float32: nil
    }
  }
}
