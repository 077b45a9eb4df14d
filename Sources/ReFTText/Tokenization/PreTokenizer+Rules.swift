// SPDX-License-Identifier: Apache-2.0
// The two regular expressions of byte-level BPE, as code. The comments name the alternative that
// each branch stands for; the order of the branches is the order of the alternatives.

extension ByteText {
  /// The end of the piece that starts at `start` under GPT-2's expression.
  ///
  /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
  func gpt2PieceEnd(from start: Int, end: Int) -> Int {
    let first = scalar(at: start, end: end)
    if first.value == 0x27 {  // '
      let length = contractionLength(after: start + 1, end: end, foldingCase: false)
      if length > 0 { return start + 1 + length }
    }
    // ` ?\p{L}+`, ` ?\p{N}+`, ` ?[^\s\p{L}\p{N}]+`
    var runStart = start
    var runClass = first.scalarClass
    if first.value == 0x20, start + 1 < end {
      let next = scalar(at: start + 1, end: end)
      if next.scalarClass != .space {
        runStart = start + 1
        runClass = next.scalarClass
      }
    }
    if runClass != .space { return runEnd(of: runClass, from: runStart, end: end) }
    return whiteSpaceEnd(from: start, end: end)
  }

  /// The end of the piece that starts at `start` under Llama 3's expression.
  ///
  /// With `digits` = 3 it is
  /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|`
  /// ` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
  func llama3PieceEnd(from start: Int, end: Int, digits: Int) -> Int {
    let first = scalar(at: start, end: end)
    let firstClass = first.scalarClass
    if first.value == 0x27 {  // '
      let length = contractionLength(after: start + 1, end: end, foldingCase: true)
      if length > 0 { return start + 1 + length }
    }
    let second = start + first.length
    let secondClass = second < end ? scalar(at: second, end: end).scalarClass : nil
    // `[^\r\n\p{L}\p{N}]?\p{L}+`
    if firstClass == .letter { return runEnd(of: .letter, from: second, end: end) }
    if firstClass != .number, !first.isLineBreak, secondClass == .letter {
      return runEnd(of: .letter, from: second, end: end)
    }
    // `\p{N}{1,3}`
    if firstClass == .number { return numberEnd(from: start, end: end, digits: digits) }
    // ` ?[^\s\p{L}\p{N}]+[\r\n]*`
    if firstClass == .other || (first.value == 0x20 && secondClass == .other) {
      var index = runEnd(of: .other, from: second, end: end)
      while index < end, bytes[index] == 0x0A || bytes[index] == 0x0D { index += 1 }
      return index
    }
    // `\s*[\r\n]+`
    let spaces = runEnd(of: .space, from: start, end: end)
    if let last = bytes[start..<spaces].lastIndex(where: { $0 == 0x0A || $0 == 0x0D }) {
      return last + 1
    }
    return whiteSpaceEnd(from: start, end: end)
  }

  /// `\s+(?!\S)|\s+`: a run of white space leaves its last scalar to what follows.
  private func whiteSpaceEnd(from start: Int, end: Int) -> Int {
    var index = start
    var lastStart = start
    while index < end {
      let scalar = scalar(at: index, end: end)
      guard scalar.scalarClass == .space else { break }
      lastStart = index
      index += scalar.length
    }
    return index < end && lastStart > start ? lastStart : index
  }

  private func numberEnd(from start: Int, end: Int, digits: Int) -> Int {
    var index = start
    for _ in 0..<digits where index < end {
      let scalar = scalar(at: index, end: end)
      guard scalar.scalarClass == .number else { break }
      index += scalar.length
    }
    return index
  }

  /// The length of `s`, `t`, `re`, `ve`, `m`, `ll` or `d` at `index`; 0 where there is none.
  private func contractionLength(after index: Int, end: Int, foldingCase: Bool) -> Int {
    guard index < end else { return 0 }
    let fold: UInt8 = foldingCase ? 0x20 : 0
    let first = bytes[index] | fold
    switch first {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return 1
    default: break
    }
    guard index + 1 < end else { return 0 }
    switch (first, bytes[index + 1] | fold) {
    case (UInt8(ascii: "r"), UInt8(ascii: "e")), (UInt8(ascii: "v"), UInt8(ascii: "e")),
      (UInt8(ascii: "l"), UInt8(ascii: "l")):
      return 2
    default:
      return 0
    }
  }
}

extension ScannedScalar {
  /// Whether the scalar is `\r` or `\n`.
  fileprivate var isLineBreak: Bool { value == 0x0A || value == 0x0D }
}
