// SPDX-License-Identifier: Apache-2.0
// Turns a stream of tokens into text that never ends inside a character.

extension Tokenizer {
  /// Turns ids into text as they come, holding back characters whose bytes are not complete.
  ///
  /// All pieces together are the text that `decode` gives for all ids; where they continue a text,
  /// as those that a model generates, the first one keeps the space that it begins with.
  public struct Decoder: Sendable {
    private let tokenizer: Tokenizer
    private let skipSpecial: Bool
    private var pending: [UInt8] = []
    /// Whether the next token may begin with a space that is none of the text.
    private var isFirst: Bool

    /// Starts a stream.
    ///
    /// - Parameters:
    ///   - tokenizer: the tokenizer that the ids belong to.
    ///   - skipSpecial: whether to leave out the texts of special tokens.
    ///   - continuing: whether other tokens stand before the first.
    public init(_ tokenizer: Tokenizer, skipSpecial: Bool = true, continuing: Bool = false) {
      self.tokenizer = tokenizer
      isFirst = tokenizer.stripsFirstSpace && !continuing
      self.skipSpecial = skipSpecial
    }

    /// The text that a token completes; empty while a character is incomplete.
    public mutating func feed(_ id: Int32) -> String {
      guard tokenizer.contains(id), !(skipSpecial && tokenizer.isSpecial(id)) else { return "" }
      let content = tokenizer.vocabulary.contents[Int(id)]
      pending += isFirst && content.first == 0x20 ? content.dropFirst() : content
      isFirst = isFirst && tokenizer.isBeforeText(id)
      let complete = pending.count - Self.incompleteTail(of: pending)
      guard complete > 0 else { return "" }
      let text = String(decoding: pending[..<complete], as: UTF8.self)
      pending.removeFirst(complete)
      return text
    }

    /// The text of a character that will not be completed any more, as U+FFFD.
    public mutating func finish() -> String {
      let text = String(decoding: pending, as: UTF8.self)
      pending.removeAll()
      return text
    }

    /// How many bytes at the end begin a character that further bytes may complete.
    private static func incompleteTail(of bytes: [UInt8]) -> Int {
      for length in 1...3 where length <= bytes.count {
        let lead = bytes[bytes.count - length]
        if lead & 0xC0 == 0x80 { continue }
        let wanted: Int
        switch lead {
        case 0xC2...0xDF: wanted = 2
        case 0xE0...0xEF: wanted = 3
        case 0xF0...0xF4: wanted = 4
        default: return 0
        }
        guard length < wanted else { return 0 }
        let second = length > 1 ? bytes[bytes.count - length + 1] : nil
        return second.map { isSecond($0, after: lead) } ?? true ? length : 0
      }
      return 0
    }

    /// Whether `byte` may follow `lead`: what UTF-8 excludes to keep encodings shortest and valid.
    private static func isSecond(_ byte: UInt8, after lead: UInt8) -> Bool {
      switch lead {
      case 0xE0: byte >= 0xA0
      case 0xED: byte < 0xA0
      case 0xF0: byte >= 0x90
      case 0xF4: byte < 0x90
      default: true
      }
    }
  }
}
