// SPDX-License-Identifier: Apache-2.0
// Finds places in a text, and cuts or changes it there: what the Split and Replace of tokenizers do.

/// What is looked for in a text.
enum TextFinder: Sendable {
  /// Some bytes as they stand.
  case literal([UInt8])
  /// Each scalar of a set, one by one.
  case scalars(ScalarClassTable)
  /// The matches of an expression.
  case expression(Expression)

  /// Calls `body` with each part of `text[start..<end]` in order, and whether it is a match.
  ///
  /// The parts cover the range; an expression's empty matches are parts too.
  func forEachPart(
    of text: ByteText,
    from start: Int,
    to end: Int,
    _ body: (_ part: Range<Int>, _ isMatch: Bool) -> Void
  ) {
    var last = start
    func match(_ range: Range<Int>) {
      if range.lowerBound > last { body(last..<range.lowerBound, false) }
      body(range, true)
      last = range.upperBound
    }
    switch self {
    case .literal(let bytes):
      var index = start
      while !bytes.isEmpty, index + bytes.count <= end {
        if text.bytes[index] == bytes[0],
          text.bytes[index..<(index + bytes.count)].elementsEqual(bytes)
        {
          match(index..<(index + bytes.count))
          index += bytes.count
        } else {
          index += 1
        }
      }
    case .scalars(let table):
      var index = start
      while index < end {
        let scalar = text.scalar(at: index, end: end)
        if table.contains(scalar.value) { match(index..<(index + scalar.length)) }
        index += scalar.length
      }
    case .expression(let expression):
      var matcher = ExpressionMatcher(expression, text, from: start, to: end)
      var place = start
      while let range = matcher.next(from: place) {
        match(range)
        place = range.upperBound
        if range.isEmpty {
          guard place < end else { break }
          place += text.scalar(at: place, end: end).length
        }
      }
    }
    if last < end { body(last..<end, false) }
  }
}

/// What becomes of the matches when a text is cut at them.
enum CutBehavior: String, Sendable {
  /// They are left out.
  case removed = "Removed"
  /// Each is a piece of its own.
  case isolated = "Isolated"
  /// Each belongs to the piece before it.
  case mergedWithPrevious = "MergedWithPrevious"
  /// Each belongs to the piece behind it.
  case mergedWithNext = "MergedWithNext"
  /// Neighbours are one piece.
  case contiguous = "Contiguous"
}

/// Cuts a text at what is found in it.
struct TextCut: Sendable {
  /// What is looked for.
  var finder: TextFinder
  /// What becomes of it.
  var behavior: CutBehavior
  /// Whether what lies between the matches counts as match, and they do not.
  var isInverted = false

  /// Calls `body` with the pieces of `text[start..<end]`, none of them empty.
  func forEachPiece(
    of text: ByteText,
    from start: Int,
    to end: Int,
    _ body: (_ start: Int, _ end: Int) -> Void
  ) {
    // A piece that the next part may still become part of, and whether it is a match.
    var open: (range: Range<Int>, isMatch: Bool)?
    func close() {
      if let piece = open?.range, !piece.isEmpty { body(piece.lowerBound, piece.upperBound) }
      open = nil
    }
    finder.forEachPart(of: text, from: start, to: end) { part, found in
      let isMatch = found != isInverted
      let joins: Bool
      switch behavior {
      case .removed:
        close()
        if isMatch { return }
        joins = false
      case .isolated: joins = false
      case .contiguous: joins = open?.isMatch == isMatch
      case .mergedWithPrevious: joins = isMatch && open?.isMatch == false
      case .mergedWithNext: joins = !isMatch && open?.isMatch == true
      }
      if joins, let before = open {
        // A match that a piece took up ends it: the next match is a piece of its own.
        open = (before.range.lowerBound..<part.upperBound, isMatch)
      } else {
        close()
        open = (part, isMatch)
      }
    }
    close()
  }
}
