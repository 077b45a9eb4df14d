// SPDX-License-Identifier: Apache-2.0
// How precisely decoded tokens' activations meet quantised weights.

/// The numbers that activations of decoded tokens are rounded to before they meet a weight.
///
/// Training keeps float32 activations, keys and values, and prompts float32 activations; where products
/// go to matrix tiles both are split in two bfloat16 halves, unless this is `float32`, and prompts keep
/// the high half alone with `int8`. Without tiles, but with byte products, prompts are rounded as decoded
/// tokens are. What each choice does to the logits is in docs/performance.md.
public enum DecodePrecision: String, CaseIterable, Sendable {
  /// Eight bits, one scale for every 32 numbers: what llama.cpp does.
  case int8
  /// Two such digits, sixteen bits together: greedy texts are the reference's, and a single
  /// sequence costs the same, since reading the weights is what it waits for.
  case int16
  /// No rounding: weights are expanded for every token.
  case float32

  /// How many int8 digits an activation becomes; nil for none.
  var digits: Int? {
    switch self {
    case .int8: 1
    case .int16: 2
    case .float32: nil
    }
  }

  /// How the keys and values of a sequence are cached beside such activations.
  public var cacheFormat: CacheFormat { self == .float32 ? .float32 : .float16 }
}
