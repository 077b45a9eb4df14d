// SPDX-License-Identifier: Apache-2.0
// The tokens that a model puts around a text, or around two: `[CLS] a [SEP] b [SEP]` and its kin.
// How texts become tokens is in Tokenizer.swift; a frame is laid around what it gives.

/// The order of a model's own tokens and of one or two texts.
package struct TextFrame: Sendable, Equatable {
  /// One place of a frame.
  package enum Part: Sendable, Equatable {
    /// A token of the model's own, with its type.
    case token(Int32, type: Int32)
    /// The first text.
    case first(type: Int32)
    /// The second text.
    case second(type: Int32)
  }

  /// The frame of one text.
  package var single: [Part]
  /// The frame of two texts.
  package var pair: [Part]

  /// Makes a frame.
  ///
  /// - Parameters:
  ///   - single: the parts around one text; they hold the first text once.
  ///   - pair: the parts around two; they hold each text once.
  package init(single: [Part], pair: [Part]) {
    (self.single, self.pair) = (single, pair)
  }

  /// BERT's frame: `[CLS] a [SEP]`, and `[CLS] a [SEP] b [SEP]` whose last two parts are of type 1.
  static func bert(cls: Int32, separator: Int32) -> TextFrame {
    let single: [Part] = [.token(cls, type: 0), .first(type: 0), .token(separator, type: 0)]
    return TextFrame(single: single, pair: single + [.second(type: 1), .token(separator, type: 1)])
  }

  /// RoBERTa's frame: `<s> a </s>`, and `<s> a </s></s> b </s>`, all of type 0.
  static func roberta(cls: Int32, separator: Int32) -> TextFrame {
    let end = Part.token(separator, type: 0)
    let single: [Part] = [.token(cls, type: 0), .first(type: 0), end]
    return TextFrame(single: single, pair: single + [end, .second(type: 0), end])
  }

  /// The texts one after the other, between a start and an end token where there are such.
  static func plain(bos: Int32?, eos: Int32? = nil) -> TextFrame {
    let start = bos.map { [Part.token($0, type: 0)] } ?? []
    let end = eos.map { [Part.token($0, type: 0)] } ?? []
    return TextFrame(
      single: start + [.first(type: 0)] + end,
      pair: start + [.first(type: 0)] + end + [.second(type: 1)] + end
    )
  }

  /// The model's own tokens in it.
  var ids: [Int32] {
    (single + pair).compactMap { if case .token(let id, _) = $0 { id } else { nil } }
  }

  /// Lays the frame around tokens.
  ///
  /// - Parameters:
  ///   - first: the tokens of the first text.
  ///   - second: those of the second; nil for one text.
  ///   - limit: the most tokens of all; of the texts' tokens the last ones of the longer text are
  ///     left out, the tokens of the frame stay.
  /// - Returns: the framed tokens.
  func laid(around first: [Int32], _ second: [Int32]?, limit: Int) -> EncodedPair {
    let parts = second == nil ? single : pair
    let own = parts.count - (second == nil ? 1 : 2)
    let other = second ?? []
    let room = Self.room(first.count, other.count, limit: max(0, limit - own))
    var result = EncodedPair()
    result.isCut = room.first < first.count || room.second < other.count
    for part in parts {
      let start = result.ids.count
      let type: Int32
      switch part {
      case .token(let id, let own):
        result.ids.append(id)
        type = own
      case .first(let own):
        result.ids += first.prefix(room.first)
        result.first = start..<result.ids.count
        type = own
      case .second(let own):
        result.ids += other.prefix(room.second)
        result.second = start..<result.ids.count
        type = own
      }
      result.types += repeatElement(type, count: result.ids.count - start)
    }
    return result
  }

  /// How many tokens of two texts stay when the longer one gives way first.
  private static func room(
    _ first: Int,
    _ second: Int,
    limit: Int
  ) -> (first: Int, second: Int) {
    // Counts are of arrays: their sum is far from overflow.
    if first + second <= limit { return (first, second) }
    let short = min(first, second)
    let half = limit / 2
    let kept = short <= half ? (short, limit - short) : (half, limit - half)
    return first <= second ? (first: kept.0, second: kept.1) : (first: kept.1, second: kept.0)
  }
}

/// The tokens of a text or of two texts, with those that the model puts around them.
public struct EncodedPair: Sendable, Equatable {
  /// All tokens.
  public var ids: [Int32] = []
  /// The type of each token, as encoders count the segments: 0 or 1.
  public var types: [Int32] = []
  /// Where the tokens of the first text lie.
  public var first: Range<Int> = 0..<0
  /// Where the tokens of the second text lie; nil for one text.
  public var second: Range<Int>?
  /// Whether tokens of the texts were left out to keep a limit.
  public var isCut = false

  /// No tokens.
  public init() {}
}

extension Tokenizer {
  /// Turns a text, or two, into the tokens that an encoder reads.
  ///
  /// What stands around the texts is the model's own: `[CLS] a [SEP] b [SEP]` for BERT,
  /// `<s> a </s></s> b </s>` for RoBERTa, the start token alone where the model says no more.
  ///
  /// - Parameters:
  ///   - text: the first text.
  ///   - pair: the second text; nil for one text.
  ///   - limit: the most tokens; the longer text gives way first, at its end, and the tokens around
  ///     the texts always stay.
  ///   - parseSpecial: whether the texts of special tokens stand for these tokens.
  /// - Returns: the tokens with their types and places.
  public func encode(
    _ text: String,
    pair: String?,
    limit: Int = .max,
    parseSpecial: Bool = true
  ) -> EncodedPair {
    let enough = limit == .max ? Int.max : max(0, limit)
    let first = encode(text, parseSpecial: parseSpecial, addBOS: false, limit: enough)
    let second = pair.map {
      encode($0, parseSpecial: parseSpecial, addBOS: false, limit: enough)
    }
    return frame.laid(around: first, second, limit: limit)
  }
}
