// SPDX-License-Identifier: Apache-2.0
// How the next token is chosen: the knobs, their defaults and their legal ranges.

public import ReFTTensor

/// How tokens are drawn from a model's output.
///
/// In JSON the names are those of the command line with underscores; absent ones have defaults.
public struct SamplingOptions: Sendable, Codable, Equatable {
  /// Divides the logits before the draw; 0 always takes the most likely token.
  public var temperature: Double = 0
  /// Draws among this many most likely tokens only; 0 is no such limit.
  public var topK: Int = 0
  /// Draws among the fewest tokens whose probabilities add up to this; 1 is no such limit.
  public var topP: Double = 1
  /// Drops tokens less likely than this fraction of the most likely one; 0 drops none.
  public var minP: Double = 0
  /// Makes tokens less likely that occurred before; 1 changes nothing, 1.1 is a usual value.
  public var repetitionPenalty: Double = 1
  /// Names the stream of random numbers; the same seed draws the same tokens.
  public var seed: UInt64 = 0

  /// The defaults: greedy decoding.
  public init() {}

  /// Options with some values other than the defaults.
  ///
  /// - Parameters:
  ///   - temperature: at least 0.
  ///   - topK: at least 0.
  ///   - topP: above 0, at most 1.
  ///   - minP: 0 to 1.
  ///   - repetitionPenalty: 0.001 to 1000.
  ///   - seed: any number.
  public init(
    temperature: Double,
    topK: Int = 0,
    topP: Double = 1,
    minP: Double = 0,
    repetitionPenalty: Double = 1,
    seed: UInt64 = 0
  ) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.minP = minP
    self.repetitionPenalty = repetitionPenalty
    self.seed = seed
  }

  /// Reads options; absent ones keep their defaults.
  ///
  /// - Throws: a decoding error for a value of another type; ranges are checked by `validate`.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    func value<Value: Decodable>(_ key: CodingKeys, _ standard: Value) throws -> Value {
      try values.decodeIfPresent(Value.self, forKey: key) ?? standard
    }
    temperature = try value(.temperature, 0)
    topK = try value(.topK, 0)
    topP = try value(.topP, 1)
    minP = try value(.minP, 0)
    repetitionPenalty = try value(.repetitionPenalty, 1)
    seed = try value(.seed, 0)
  }

  private enum CodingKeys: String, CodingKey {
    case temperature
    case topK = "top_k"
    case topP = "top_p"
    case minP = "min_p"
    case repetitionPenalty = "repetition_penalty"
    case seed
  }

  /// Whether the most likely token is always taken.
  public var isGreedy: Bool { temperature == 0 }

  /// Checks that every value is in its legal range.
  ///
  /// - Throws: `usage` naming the first value that is not.
  public func validate() throws(ReFTError) {
    func check(_ isLegal: Bool, _ name: String, _ value: Double, _ legal: String) throws(ReFTError)
    {
      if !isLegal { throw .samplingOptionOutOfRange(name, value: value, legal: legal) }
    }
    try check(
      temperature >= 0 && temperature.isFinite,
      "temperature",
      temperature,
      "0 or more"
    )
    try check(topK >= 0, "top-k", Double(topK), "0 (no limit) or more")
    try check(topP > 0 && topP <= 1, "top-p", topP, "above 0 and at most 1")
    try check(minP >= 0 && minP <= 1, "min-p", minP, "0 to 1")
    try check(
      // As float32 numbers, logits over or times less or more would be infinite.
      (1e-3...1e3).contains(repetitionPenalty),
      "repetition-penalty",
      repetitionPenalty,
      "0.001 to 1000"
    )
  }
}

extension ReFTError {
  static func samplingOptionOutOfRange(
    _ name: String,
    value: Double,
    legal: String
  ) -> ReFTError {
    ReFTError(.usage, "\(name) is \(value); expected \(legal); choose a value in this range")
  }
}
