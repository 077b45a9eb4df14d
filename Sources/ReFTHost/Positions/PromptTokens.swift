// SPDX-License-Identifier: Apache-2.0
// One prompt, as the parts of a position rule look at it.

import ReFTTensor

/// The tokens of a prompt, and what tells their texts.
struct PromptTokens {
  let rule: PositionRule
  let count: Int
  let tokens: ArraySlice<Int32>
  let tokenizer: (any TokenText)?

  /// The tokens that a part selects, with locations that begin at 0.
  func positions(of selection: PositionRule.Selection) throws(ReFTError) -> [EditedPosition] {
    switch selection {
    case .all: return Self.list(0..<count)
    case .every(let step): return Self.list(stride(from: 0, to: count, by: step))
    case .ends(let first, let last): return ends(first: first, last: last)
    case .indices(let indices): return try positions(of: indices)
    case .range(let lower, let upper):
      let start = (lower ?? 0) < 0 ? count + (lower ?? 0) : lower ?? 0
      return Self.clip(lower, upper, to: count).map {
        EditedPosition(position: $0, group: .all, location: $0 - start)
      }
    case .after(let text):
      let start = try start(after: text)
      return Self.list(start..<max(start, count))
    case .tokens(let names): return Self.list(try places(of: names))
    case .random(let drawn, let seed): return Self.list(try draw(drawn, seed: seed))
    }
  }

  /// What a prompt has of a run of tokens.
  static func clip(_ lower: Int?, _ upper: Int?, to count: Int) -> Range<Int> {
    func place(_ bound: Int) -> Int { min(max(bound < 0 ? count + bound : bound, 0), count) }
    let start = place(lower ?? 0)
    return start..<max(start, upper.map(place) ?? count)
  }

  private static func list(_ positions: some Sequence<Int>) -> [EditedPosition] {
    positions.enumerated().map { EditedPosition(position: $1, group: .all, location: $0) }
  }

  private func ends(first: Int, last: Int) -> [EditedPosition] {
    let half = count / 2
    let prefix = (0..<min(first, half)).map {
      EditedPosition(position: $0, group: .prefix, location: $0)
    }
    let found = min(last, half)
    let suffix = (0..<found).map {
      EditedPosition(
        position: count - found + $0,
        group: .suffix,
        location: first + last - found + $0
      )
    }
    return prefix + suffix
  }

  private func positions(of indices: [Int]) throws(ReFTError) -> [EditedPosition] {
    var result: [EditedPosition] = []
    for (location, index) in indices.enumerated() {
      let position = index < 0 ? count + index : index
      guard (0..<count).contains(position) else {
        throw .positionOutsidePrompt(rule: rule, index: index, promptLength: count)
      }
      result.append(EditedPosition(position: position, group: .all, location: location))
    }
    return result
  }

  /// The first token that begins at or after the end of the text's first occurrence.
  private func start(after text: String) throws(ReFTError) -> Int {
    guard let tokenizer else { throw .positionsNeedTokenizer(rule: rule) }
    let wanted = Array(text.utf8)
    var bytes: [UInt8] = []
    var starts: [Int] = []
    for token in tokens {
      starts.append(bytes.count)
      bytes += tokenizer.bytes(of: token)
    }
    guard
      let match = bytes.indices.first(where: { bytes[$0...].starts(with: wanted) })
    else { throw .positionTextNotFound(rule: rule, text: text, promptLength: tokens.count) }
    return starts.firstIndex { $0 >= match + wanted.count } ?? tokens.count
  }

  /// The tokens that have one of the names.
  private func places(of names: [PositionRule.TokenName]) throws(ReFTError) -> [Int] {
    try checkTokens()
    var ids: Set<Int32> = []
    var texts: Set<[UInt8]> = []
    for name in names {
      switch name {
      case .id(let id): ids.insert(id)
      case .text(let text): texts.insert(Array(text.utf8))
      }
    }
    if !texts.isEmpty, tokenizer == nil { throw .positionsNeedTokenizer(rule: rule) }
    var result: [Int] = []
    for (place, token) in tokens.enumerated() {
      var isNamed = ids.contains(token)
      if !isNamed, !texts.isEmpty, let tokenizer {
        isNamed = texts.contains(tokenizer.bytes(of: token))
      }
      if isNamed { result.append(place) }
    }
    return result
  }

  /// Some tokens, ascending: those of the smallest random numbers that seed and prompt give to them.
  ///
  /// Nothing else decides, so that the same prompt has the same tokens wherever it is met.
  private func draw(_ drawn: Int, seed: UInt64) throws(ReFTError) -> [Int] {
    try checkTokens()
    // FNV-1a over the ids.
    var key: UInt64 = 0xCBF2_9CE4_8422_2325
    for token in tokens { key = (key ^ UInt64(UInt32(bitPattern: token))) &* 0x0000_0100_0000_01B3 }
    let random = CounterRandom(key: seed, step: key)
    let ranked = (0..<count).map { (random.bits(offset: UInt64($0)), $0) }.sorted { $0 < $1 }
    return ranked.prefix(drawn).map(\.1).sorted()
  }

  private func checkTokens() throws(ReFTError) {
    guard tokens.count == count else {
      throw .positionsNeedTokens(rule: rule, given: tokens.count, promptLength: count)
    }
  }
}
