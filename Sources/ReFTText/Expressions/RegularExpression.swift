// SPDX-License-Identifier: Apache-2.0
// Regular expressions that cut answers and fields out of texts, as Python's `re` reads them. They come
// from files of strangers, so the matcher counts its steps; Foundation's own know no such bound.

public import ReFTTensor

/// A regular expression whose groups tell what they took.
public struct RegularExpression: Sendable, Equatable {
  /// One place where the expression matches.
  public struct Match: Sendable, Equatable {
    /// All that it took.
    public var whole: String
    /// What each group took; nil where it took no part.
    public var groups: [String?]
    /// Where the match begins, in bytes of UTF-8.
    public var start: Int

    /// The first group that took something; all of the match where there are no groups.
    public var first: String? {
      groups.isEmpty ? whole : groups.lazy.compactMap { $0 }.first { !$0.isEmpty }
    }
  }

  /// The expression as it was written.
  public let source: String
  private let expression: Expression

  /// Reads an expression.
  ///
  /// Known are classes, groups, `(?:…)`, `(?i)`, `(?P<name>…)`, looking ahead, lazy and greedy loops,
  /// `\d \w \s \b` and their like; looking behind and references to groups are not.
  ///
  /// - Throws: `badConfiguration` for what is no expression, or not known.
  public init(_ source: String) throws(ReFTError) {
    self.source = source
    do throws(ExpressionFault) {
      expression = try Expression(source, dialect: .python)
    } catch {
      throw ReFTError(
        .badConfiguration,
        "the regular expression '\(source.shown())' \(error.reason); write it otherwise"
      )
    }
  }

  /// Whether both were written alike.
  public static func == (left: Self, right: Self) -> Bool { left.source == right.source }

  /// How many groups note what they take.
  public var groupCount: Int { expression.groups }

  /// All places where the expression matches, from left to right, none over another.
  ///
  /// - Throws: `badConfiguration` where trying takes more steps than a text of its length deserves.
  public func matches(in text: String) throws(ReFTError) -> [Match] {
    let bytes = Array(text.utf8)
    let found = bytes.withUnsafeBufferPointer { buffer -> [Match]? in
      var matcher = ExpressionMatcher(
        expression,
        ByteText(bytes: buffer),
        from: 0,
        to: buffer.count
      )
      var matches: [Match] = []
      var place = 0
      while place <= buffer.count, let range = matcher.next(from: place) {
        matches.append(Self.match(range, matcher.groups, bytes))
        place = range.isEmpty ? Self.next(after: range.upperBound, bytes) : range.upperBound
      }
      return matcher.budget > 0 ? matches : nil
    }
    guard let found else {
      throw ReFTError(
        .badConfiguration,
        "the regular expression '\(source.shown())' tries too many ways in a text of \(bytes.count) "
          + "bytes; write it with fewer loops inside of loops"
      )
    }
    return found
  }

  private static func match(_ range: Range<Int>, _ places: [Int], _ bytes: [UInt8]) -> Match {
    func text(_ start: Int, _ end: Int) -> String {
      String(decoding: bytes[start..<end], as: UTF8.self)
    }
    let groups = (0..<places.count / 2).map { group -> String? in
      let (start, end) = (places[2 * group], places[2 * group + 1])
      return start >= 0 && end >= start ? text(start, end) : nil
    }
    return Match(
      whole: text(range.lowerBound, range.upperBound),
      groups: groups,
      start: range.lowerBound
    )
  }

  /// The place of the next character.
  private static func next(after place: Int, _ bytes: [UInt8]) -> Int {
    var place = place + 1
    while place < bytes.count, bytes[place] & 0xC0 == 0x80 { place += 1 }
    return place
  }
}
