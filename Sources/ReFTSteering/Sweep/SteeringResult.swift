// SPDX-License-Identifier: Apache-2.0
// What a sweep measures of one setting: the effect, and what it costs. One line of results.jsonl.

/// What is measured.
public enum SteeringSetting: Sendable, Hashable {
  /// The model as it is.
  case frozen
  /// The model as it is, told in the prompt what is wanted.
  case prompt
  /// The model steered at one layer.
  case steered(layer: Int, strength: Double)
}

/// What a setting does to the model.
public struct SteeringResult: Sendable, Equatable {
  /// The setting.
  public var setting: SteeringSetting
  /// How far it leans to the positive side: the mean of log p(positive) − log p(negative) in nats,
  /// or where texts have no completions the mean projection, 0 at the negative texts and 1 at the
  /// positive ones.
  public var score: Double
  /// How much higher that is than the frozen model's.
  public var effect: Double
  /// The standard error of the effect over pairs or texts; nil for a single one, which tells none.
  public var effectError: Double?
  /// e to the mean surprise at neutral tokens; nil where there is no neutral text.
  public var perplexity: Double?
  /// The perplexity over the frozen model's, less 1.
  public var perplexityIncrease: Double?
  /// Mean KL divergence of the frozen model's next token from this one's, in nats.
  public var divergence: Double?
  /// The part of four-token runs of the replies that stand there already.
  public var repetition: Double
  /// The replies.
  public var replies: [String]

  /// Notes what was measured.
  public init(
    setting: SteeringSetting,
    score: Double,
    effect: Double,
    effectError: Double?,
    perplexity: Double? = nil,
    perplexityIncrease: Double? = nil,
    divergence: Double? = nil,
    repetition: Double = 0,
    replies: [String] = []
  ) {
    self.setting = setting
    self.score = score
    self.effect = effect
    self.effectError = effectError
    self.perplexity = perplexity
    self.perplexityIncrease = perplexityIncrease
    self.divergence = divergence
    self.repetition = repetition
    self.replies = replies
  }
}

extension SteeringResult: Codable {
  private enum CodingKeys: String, CodingKey {
    case setting, layer, strength, score, effect, perplexity, divergence, repetition, replies
    case effectError = "effect_stderr"
    case perplexityIncrease = "perplexity_increase"
  }

  private enum Kind: String, Codable { case frozen, prompt, steered }

  /// Reads a line.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    switch try values.decode(Kind.self, forKey: .setting) {
    case .frozen: setting = .frozen
    case .prompt: setting = .prompt
    case .steered:
      setting = .steered(
        layer: try values.decode(Int.self, forKey: .layer),
        strength: try values.decode(Double.self, forKey: .strength)
      )
    }
    score = try values.decode(Double.self, forKey: .score)
    effect = try values.decode(Double.self, forKey: .effect)
    effectError = try values.decodeIfPresent(Double.self, forKey: .effectError)
    perplexity = try values.decodeIfPresent(Double.self, forKey: .perplexity)
    perplexityIncrease = try values.decodeIfPresent(Double.self, forKey: .perplexityIncrease)
    divergence = try values.decodeIfPresent(Double.self, forKey: .divergence)
    repetition = try values.decode(Double.self, forKey: .repetition)
    replies = try values.decode([String].self, forKey: .replies)
  }

  /// Writes a line.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    switch setting {
    case .frozen: try values.encode(Kind.frozen, forKey: .setting)
    case .prompt: try values.encode(Kind.prompt, forKey: .setting)
    case .steered(let layer, let strength):
      try values.encode(Kind.steered, forKey: .setting)
      try values.encode(layer, forKey: .layer)
      try values.encode(strength, forKey: .strength)
    }
    try values.encode(score, forKey: .score)
    try values.encode(effect, forKey: .effect)
    try values.encode(effectError, forKey: .effectError)
    try values.encodeIfPresent(perplexity, forKey: .perplexity)
    try values.encodeIfPresent(perplexityIncrease, forKey: .perplexityIncrease)
    try values.encodeIfPresent(divergence, forKey: .divergence)
    try values.encode(repetition, forKey: .repetition)
    try values.encode(replies, forKey: .replies)
  }
}

extension [SteeringResult] {
  /// The setting with the largest effect towards the positive side whose perplexity rises by no
  /// more than a limit; nil where none has an effect beyond its standard error, or that is unknown.
  public func recommended(perplexityLimit: Double) -> SteeringResult? {
    filter { result in
      guard case .steered = result.setting, let error = result.effectError else { return false }
      return result.effect > error
        && (result.perplexityIncrease ?? 0) <= perplexityLimit
    }.max { $0.effect < $1.effect }
  }

  /// Whether a setting was tried whose error is unknown.
  public var lacksErrors: Bool {
    contains { $0.setting.layer != nil && $0.effectError == nil }
  }

  /// The result of a setting.
  public func result(of setting: SteeringSetting) -> SteeringResult? {
    first { $0.setting == setting }
  }
}
