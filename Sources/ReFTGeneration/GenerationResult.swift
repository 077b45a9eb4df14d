// SPDX-License-Identifier: Apache-2.0
// A generated text, as code and as the JSON document of `reft generate`.

public import ReFTTensor

/// A generated text and how it came about.
public struct GenerationResult: Sendable, Codable, Equatable {
  /// Why a generation ended.
  public enum FinishReason: String, Sendable, Codable {
    /// The model ended its reply.
    case stop
    /// As many tokens as asked for were generated.
    case length
    /// One of the caller's stop texts came up.
    case stopString = "stop_string"
  }

  /// Where the time went.
  public struct Timings: Sendable, Codable, Equatable {
    /// Seconds that opening the model took.
    public var loadSeconds: Double
    /// Tokens of the prompt.
    public var promptTokens: Int
    /// Tokens of the prompt over the wall time of the steps that read it.
    public var promptTokensPerSecond: Double
    /// Generated tokens.
    public var tokens: Int
    /// Tokens after the first one over the wall time from the first to the last; 0 where there is
    /// no second token.
    public var tokensPerSecond: Double

    private enum CodingKeys: String, CodingKey {
      case loadSeconds = "load_seconds"
      case promptTokens = "prompt_tokens"
      case promptTokensPerSecond = "prompt_tokens_per_second"
      case tokens
      case tokensPerSecond = "tokens_per_second"
    }
  }

  /// The text, without special tokens, up to a stop text.
  public var text: String
  /// All generated tokens, also the one that ended the reply.
  public var ids: [Int32]
  /// The tokens of the prompt.
  public var promptIds: [Int32]
  /// Why the text ends.
  public var finishReason: FinishReason
  /// Where the time went.
  public var timings: Timings

  private enum CodingKeys: String, CodingKey {
    case text
    case ids
    case promptIds = "prompt_ids"
    case finishReason = "finish_reason"
    case timings
  }
}

/// What happens while texts are generated.
public enum GenerationEvent: Sendable {
  /// The text of request number `request` goes on.
  case text(request: Int, String)
  /// Request number `request` is done.
  case finished(request: Int, GenerationResult)
  /// Request number `request` cannot go on; the others do.
  case failed(request: Int, ReFTError)
}
