// SPDX-License-Identifier: Apache-2.0
// From a position rule to the tokens of one prompt.

public import ReFTTensor

/// Whatever can tell the text of a token; a tokenizer is the usual one.
public protocol TokenText {
  /// The bytes that a token stands for.
  func bytes(of id: Int32) -> [UInt8]
}

extension PositionRule {
  /// The tokens of a prompt that the rule selects, each once, in the order of the rule's locations.
  ///
  /// - Parameters:
  ///   - promptLength: number of tokens of the prompt.
  ///   - tokens: the prompt's tokens; only `after:"…"` reads them.
  ///   - tokenizer: tells their text; only `after:"…"` needs it.
  /// - Returns: the tokens with their group and location.
  /// - Throws: `.usage` when an index lies outside the prompt or the text does not occur in it.
  public func rows(
    promptLength: Int,
    tokens: ArraySlice<Int32> = [],
    tokenizer: (any TokenText)? = nil
  ) throws(ReFTError) -> [EditedPosition] {
    switch selection {
    case .none: return []
    case .all: return Self.run(0..<promptLength)
    case .every(let step):
      return stride(from: 0, to: promptLength, by: step).enumerated().map {
        EditedPosition(position: $1, group: .all, location: $0)
      }
    case .ends(let first, let last):
      return Self.ends(first: first, last: last, promptLength: promptLength)
    case .indices(let indices):
      return try positions(of: indices, promptLength: promptLength)
    case .after(let text):
      let start = try start(after: text, tokens: tokens.prefix(promptLength), tokenizer: tokenizer)
      return Self.run(start..<max(start, promptLength))
    }
  }

  /// Whether a rule that looks at the length of a prompt alone finds no token in one of a length.
  ///
  /// Rules that look for a token or a text say so themselves when they do not find it.
  public func editsNothing(promptLength: Int) -> Bool {
    switch selection {
    case .none: true
    case .all, .every: promptLength == 0
    case .ends(let first, let last): first + last == 0 || promptLength / 2 == 0
    case .indices, .after: false
    }
  }

  private static func run(_ range: Range<Int>) -> [EditedPosition] {
    range.enumerated().map { EditedPosition(position: $1, group: .all, location: $0) }
  }

  private static func ends(first: Int, last: Int, promptLength: Int) -> [EditedPosition] {
    let half = promptLength / 2
    let prefix = (0..<min(first, half)).map {
      EditedPosition(position: $0, group: .prefix, location: $0)
    }
    let count = min(last, half)
    let suffix = (0..<count).map {
      EditedPosition(
        position: promptLength - count + $0,
        group: .suffix,
        location: first + last - count + $0
      )
    }
    return prefix + suffix
  }

  private func positions(
    of indices: [Int],
    promptLength: Int
  ) throws(ReFTError) -> [EditedPosition] {
    var seen: Set<Int> = []
    var result: [EditedPosition] = []
    for (location, index) in indices.enumerated() {
      let position = index < 0 ? promptLength + index : index
      guard (0..<promptLength).contains(position) else {
        throw .positionOutsidePrompt(rule: self, index: index, promptLength: promptLength)
      }
      // 0 and -1 name the same token of a one-token prompt: it is edited once.
      if seen.insert(position).inserted {
        result.append(EditedPosition(position: position, group: .all, location: location))
      }
    }
    return result
  }

  /// The first token that begins at or after the end of the text's first occurrence.
  private func start(
    after text: String,
    tokens: ArraySlice<Int32>,
    tokenizer: (any TokenText)?
  ) throws(ReFTError) -> Int {
    guard let tokenizer else { throw .positionsNeedTokenizer(rule: self) }
    let wanted = Array(text.utf8)
    var bytes: [UInt8] = []
    var starts: [Int] = []
    for token in tokens {
      starts.append(bytes.count)
      bytes += tokenizer.bytes(of: token)
    }
    guard
      let match = bytes.indices.first(where: { bytes[$0...].starts(with: wanted) })
    else { throw .positionTextNotFound(rule: self, text: text, promptLength: tokens.count) }
    return starts.firstIndex { $0 >= match + wanted.count } ?? tokens.count
  }
}
