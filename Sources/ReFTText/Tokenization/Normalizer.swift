// SPDX-License-Identifier: Apache-2.0
// What is done to a text before it is cut: composing, lower case, SentencePiece's ▁ and table. The
// parts of a tokenizer.json that ask for it are read in TokenizerFile+Normalizer.swift.

import Foundation

/// The changes that a tokenizer makes to a text, in order.
package struct Normalizer: Sendable {
  /// A normal form of Unicode.
  enum Form: String, Sendable {
    case nfc = "NFC"
    case nfd = "NFD"
    case nfkc = "NFKC"
    case nfkd = "NFKD"
  }

  /// One change.
  enum Step: Sendable {
    case form(Form)
    case lowercase
    /// Without marks: all of them, or the nonspacing ones.
    case stripMarks(onlyNonspacing: Bool)
    /// BERT's cleaning: no control characters, and plain spaces.
    case clean
    /// A space before and behind each Chinese character.
    case spaceChinese
    /// Without white space at the ends.
    case strip(left: Bool, right: Bool)
    case replace(TextFinder, by: [UInt8])
    /// Some text in front of what is not empty.
    case prepend([UInt8])
    /// SentencePiece's table; whole pieces of the vocabulary stay as they are.
    case map(CharacterMap, byGrapheme: Bool, keeping: MarkerTrie)
    /// The characters that the models of NMT leave out or read as spaces.
    case nmt
    /// One space for several, and none at the ends.
    case squeezeSpaces
    /// A space written as ▁, and one more in front as the prefix says.
    case blocks(SentencePiecePrefix)
  }

  /// The changes.
  var steps: [Step] = []

  /// A normalizer of some changes.
  init(_ steps: [Step] = []) { self.steps = steps }

  /// Whether nothing is changed.
  var isEmpty: Bool { steps.isEmpty }

  /// Makes all changes to a text.
  ///
  /// - Parameters:
  ///   - bytes: a text; bytes that are no UTF-8 stay as they are.
  ///   - isFirst: whether nothing stands before it.
  /// - Returns: the changed text.
  func apply(_ bytes: UnsafeBufferPointer<UInt8>, isFirst: Bool) -> [UInt8] {
    var text = Array(bytes)
    for step in steps where !text.isEmpty { text = Self.applied(step, text, isFirst: isFirst) }
    return text
  }

  private static func applied(_ step: Step, _ text: [UInt8], isFirst: Bool) -> [UInt8] {
    switch step {
    case .form(let form): return composed(text, form)
    case .lowercase:
      return mapped(text) { scalar in
        scalar.value < 0x80
          ? [0x41...0x5A ~= scalar.value ? UInt8(scalar.value) | 0x20 : UInt8(scalar.value)]
          : Array(scalar.properties.lowercaseMapping.utf8)
      }
    case .stripMarks(let onlyNonspacing):
      return mapped(text) { scalar in
        guard scalar.value >= 0x300 else { return nil }
        switch scalar.properties.generalCategory {
        case .nonspacingMark: return []
        case .spacingMark, .enclosingMark: return onlyNonspacing ? nil : []
        default: return nil
        }
      }
    case .clean: return mapped(text, cleaned)
    case .spaceChinese:
      return mapped(text) { $0.isChinese ? [0x20] + Array(String($0).utf8) + [0x20] : nil }
    case .strip(let left, let right): return stripped(text, left, right)
    case .replace(let finder, let content): return replaced(text, finder, content)
    case .prepend(let prefix): return prefix + text
    case .map(let map, let byGrapheme, let keeping):
      return byGrapheme ? mappedByGrapheme(text, map) : mapped(text, map, keeping)
    case .nmt: return mapped(text, readAsNMT)
    case .squeezeSpaces: return squeezed(text)
    case .blocks(let prefix):
      let addsPrefix = prefix == .everyPart || prefix == .first && isFirst
      return SentencePieceText.written(text, addsPrefix: addsPrefix)
    }
  }

  // MARK: Scalars

  /// The text with each scalar replaced; those for which `change` gives nil stay.
  private static func mapped(
    _ text: [UInt8],
    _ change: (Unicode.Scalar) -> [UInt8]?
  ) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    text.withUnsafeBufferPointer { bytes in
      let scanned = ByteText(bytes: bytes)
      var index = 0
      while index < bytes.count {
        let scalar = scanned.scalar(at: index, end: bytes.count)
        if let value = Unicode.Scalar(scalar.value), let changed = change(value) {
          result += changed
        } else {
          result += bytes[index..<(index + scalar.length)]
        }
        index += scalar.length
      }
    }
    return result
  }

  private static func cleaned(_ scalar: Unicode.Scalar) -> [UInt8]? {
    switch scalar.value {
    case 0x09, 0x0A, 0x0D: return [0x20]
    case 0, 0xFFFD: return []
    case 0x20..<0x7F: return nil
    default: break
    }
    if scalar.properties.isWhitespace, scalar.properties.generalCategory != .control {
      return [0x20]
    }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse: return []
    default: return nil
    }
  }

  private static func readAsNMT(_ scalar: Unicode.Scalar) -> [UInt8]? {
    switch scalar.value {
    case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: []
    case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD:
      [0x20]
    default: nil
    }
  }

  // MARK: Texts

  private static func composed(_ text: [UInt8], _ form: Form) -> [UInt8] {
    guard text.contains(where: { $0 >= 0x80 }),
      let given = String(validating: text, as: UTF8.self)
    else { return text }
    let isCompatible = form == .nfkc || form == .nfkd
    let string = CanonicalComposition.ordered(isCompatible ? withWideMarks(given) : given)
    let result =
      switch form {
      case .nfc: string.precomposedStringWithCanonicalMapping
      case .nfd: string.decomposedStringWithCanonicalMapping
      case .nfkc: string.precomposedStringWithCompatibilityMapping
      case .nfkd: string.decomposedStringWithCompatibilityMapping
      }
    return Array(result.utf8)
  }

  /// The text with the marks of narrow kana as the marks that they are compatible with, so that they
  /// can be put in order with others.
  private static func withWideMarks(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: { 0xFF9E...0xFF9F ~= $0.value }) else { return text }
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\u{FF9E}": result.append("\u{3099}")
      case "\u{FF9F}": result.append("\u{309A}")
      default: result.append(scalar)
      }
    }
    return String(result)
  }

  private static func stripped(_ text: [UInt8], _ left: Bool, _ right: Bool) -> [UInt8] {
    text.withUnsafeBufferPointer { bytes in
      let scanned = ByteText(bytes: bytes)
      var start = left ? scanned.runEnd(of: .space, from: 0, end: bytes.count) : 0
      var index = start
      var end = start
      while index < bytes.count {
        let scalar = scanned.scalar(at: index, end: bytes.count)
        index += scalar.length
        if !right || scalar.scalarClass != .space { end = index }
      }
      start = min(start, end)
      return Array(bytes[start..<end])
    }
  }

  private static func replaced(
    _ text: [UInt8],
    _ finder: TextFinder,
    _ content: [UInt8]
  ) -> [UInt8] {
    var result: [UInt8] = []
    text.withUnsafeBufferPointer { bytes in
      let scanned = ByteText(bytes: bytes)
      finder.forEachPart(of: scanned, from: 0, to: bytes.count) { part, isMatch in
        // What one text writes is bounded: a stranger's file names the content.
        if isMatch, result.count < 16 * bytes.count + (1 << 20) {
          result += content
        } else {
          result += bytes[part]
        }
      }
    }
    return result
  }

  private static func squeezed(_ text: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    for byte in text where byte != 0x20 || (result.last ?? 0x20) != 0x20 { result.append(byte) }
    // At the end a ▁ counts as the space that it will be taken for.
    while true {
      if result.last == 0x20 {
        result.removeLast()
      } else if result.suffix(3).elementsEqual(SentencePieceText.space) {
        result.removeLast(3)
      } else {
        return result
      }
    }
  }

  // MARK: The table

  /// The most bytes that a table may make of one text, beside those of the text.
  private static func room(_ count: Int) -> Int { 64 * count + (1 << 20) }

  private static func mapped(
    _ text: [UInt8],
    _ map: CharacterMap,
    _ keeping: MarkerTrie
  ) -> [UInt8] {
    var result: [UInt8] = []
    text.withUnsafeBufferPointer { bytes in
      let scanned = ByteText(bytes: bytes)
      var index = 0
      while index < bytes.count {
        if !keeping.isEmpty,
          let kept = keeping.longestMatch(in: scanned, at: index, end: bytes.count)
        {
          result += bytes[index..<(index + kept.length)]
          index += kept.length
        } else if result.count < room(bytes.count),
          let found = map.replacement(bytes, index..<bytes.count, isLongest: true)
        {
          result += found.text
          index += found.length
        } else {
          let length = scanned.scalar(at: index, end: bytes.count).length
          result += bytes[index..<(index + length)]
          index += length
        }
      }
    }
    return result
  }

  /// The way of the tokenizers library: short graphemes as a whole, others scalar by scalar, and of
  /// several replacements the shortest.
  private static func mappedByGrapheme(_ text: [UInt8], _ map: CharacterMap) -> [UInt8] {
    guard var string = String(validating: text, as: UTF8.self) else {
      return mapped(text, map, MarkerTrie())
    }
    var ends = [0]
    for character in string { ends.append(ends[ends.count - 1] + character.utf8.count) }
    return string.withUTF8 { bytes in
      var result: [UInt8] = []
      let scanned = ByteText(bytes: bytes)
      for (start, end) in zip(ends, ends.dropFirst()) {
        if end - start < 6, result.count < room(bytes.count),
          let found = map.replacement(bytes, start..<end, isLongest: false)
        {
          result += found.text
          continue
        }
        var index = start
        while index < end {
          let length = scanned.scalar(at: index, end: end).length
          let part = index..<(index + length)
          if result.count < room(bytes.count),
            let found = map.replacement(bytes, part, isLongest: false)
          {
            result += found.text
          } else {
            result += bytes[part]
          }
          index += length
        }
      }
      return result
    }
  }
}

extension Unicode.Scalar {
  /// Whether BERT takes the scalar for Chinese.
  fileprivate var isChinese: Bool {
    switch value {
    case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F,
      0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F:
      true
    default: false
    }
  }
}
