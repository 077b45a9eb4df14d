// SPDX-License-Identifier: Apache-2.0
// Sets of Unicode scalars, as the classes of regular expressions name them.

/// A set of Unicode scalars.
indirect enum ScalarSet: Sendable {
  /// All scalars of a range of values.
  case range(ClosedRange<UInt32>)
  /// The scalars of some general categories.
  case categories(Set<Unicode.GeneralCategory>)
  /// The scalars with the property White_Space.
  case space
  /// The scalars of words as expressions see them: letters, marks, decimal numbers, connectors, and
  /// the superscript numbers and fractions of Latin-1.
  case word
  /// The scalars of words as Unicode's annex on expressions has them, with the joiners.
  case joinedWord
  /// The scalars of at least one set.
  case union([ScalarSet])
  /// The scalars of both sets.
  case intersection(ScalarSet, ScalarSet)
  /// All other scalars, and bytes that are no part of valid UTF-8.
  case complement(ScalarSet)

  /// One scalar.
  static func scalar(_ value: UInt32) -> ScalarSet { .range(value...value) }

  /// One scalar in each of its cases.
  static func folded(_ value: UInt32) -> ScalarSet {
    guard let scalar = Unicode.Scalar(value) else { return .scalar(value) }
    var values: Set<UInt32> = [value]
    let texts = [scalar.properties.lowercaseMapping, scalar.properties.uppercaseMapping]
    for text in texts where text.unicodeScalars.count == 1 {
      values.formUnion(text.unicodeScalars.map(\.value))
    }
    // The two scalars beyond ASCII that fold to letters of ASCII.
    if values.contains(0x73) { values.insert(0x17F) }
    if values.contains(0x6B) { values.insert(0x212A) }
    return .union(values.sorted().map { .scalar($0) })
  }

  /// Whether a scalar belongs to the set; `ScannedScalar.invalid` belongs to complements alone.
  func contains(_ value: UInt32) -> Bool {
    switch self {
    case .range(let range): return range.contains(value)
    case .union(let sets): return sets.contains { $0.contains(value) }
    case .intersection(let left, let right): return left.contains(value) && right.contains(value)
    case .complement(let set): return !set.contains(value)
    case .categories(let categories):
      guard let scalar = Unicode.Scalar(value) else { return false }
      return categories.contains(scalar.properties.generalCategory)
    case .space: return Unicode.Scalar(value)?.properties.isWhitespace ?? false
    case .word:
      guard let scalar = Unicode.Scalar(value) else { return false }
      return scalar.isWordPart || Self.latinNumbers.contains(value)
    case .joinedWord:
      return value == 0x200C || value == 0x200D || Unicode.Scalar(value)?.isWordPart ?? false
    }
  }

  private static let latinNumbers: Set<UInt32> = [0xB2, 0xB3, 0xB9, 0xBC, 0xBD, 0xBE]

  /// How many sets it is made of.
  fileprivate var size: Int {
    switch self {
    case .range, .categories, .space, .word, .joinedWord: 1
    case .union(let sets): sets.reduce(1) { $0 + $1.size }
    case .intersection(let left, let right): left.size + right.size
    case .complement(let set): set.size
    }
  }

  /// Punctuation as BERT and the `Punctuation` pre-tokenizer see it: category P and ASCII's symbols.
  static let punctuation = ScalarSet.union([
    .categories(named("P")), .range(0x21...0x2F), .range(0x3A...0x40), .range(0x5B...0x60),
    .range(0x7B...0x7E),
  ])

  /// Numbers of every kind.
  static let numbers = ScalarSet.categories(named("N"))

  /// The general categories of a one- or two-letter name; empty for an unknown one.
  static func named(_ name: String) -> Set<Unicode.GeneralCategory> {
    Set(abbreviations.filter { $0.key.hasPrefix(name) }.map(\.value))
  }

  private static let abbreviations: [String: Unicode.GeneralCategory] = [
    "Lu": .uppercaseLetter, "Ll": .lowercaseLetter, "Lt": .titlecaseLetter, "Lm": .modifierLetter,
    "Lo": .otherLetter, "Mn": .nonspacingMark, "Mc": .spacingMark, "Me": .enclosingMark,
    "Nd": .decimalNumber, "Nl": .letterNumber, "No": .otherNumber, "Pc": .connectorPunctuation,
    "Pd": .dashPunctuation, "Ps": .openPunctuation, "Pe": .closePunctuation,
    "Pi": .initialPunctuation, "Pf": .finalPunctuation, "Po": .otherPunctuation, "Sm": .mathSymbol,
    "Sc": .currencySymbol, "Sk": .modifierSymbol, "So": .otherSymbol, "Zs": .spaceSeparator,
    "Zl": .lineSeparator, "Zp": .paragraphSeparator, "Cc": .control, "Cf": .format,
    "Cs": .surrogate, "Co": .privateUse, "Cn": .unassigned,
  ]

  /// The scripts that tokenizers' expressions name, as ranges (Unicode's Scripts.txt).
  private static let scripts: [String: [ClosedRange<UInt32>]] = [
    "han": [
      0x2E80...0x2E99, 0x2E9B...0x2EF3, 0x2F00...0x2FD5, 0x3005...0x3005, 0x3007...0x3007,
      0x3021...0x3029, 0x3038...0x303B, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFA6D,
      0xFA70...0xFAD9, 0x16FE2...0x16FE3, 0x16FF0...0x16FF1, 0x20000...0x2A6DF,
      0x2A700...0x2EE5D, 0x2F800...0x2FA1D, 0x30000...0x323AF,
    ],
    "hiragana": [
      0x3041...0x3096, 0x309D...0x309F, 0x1B001...0x1B11F, 0x1B132...0x1B132, 0x1B150...0x1B152,
      0x1F200...0x1F200,
    ],
    "katakana": [
      0x30A1...0x30FA, 0x30FD...0x30FF, 0x31F0...0x31FF, 0x32D0...0x32FE, 0x3300...0x3357,
      0xFF66...0xFF6F, 0xFF71...0xFF9D, 0x1AFF0...0x1AFFE, 0x1B000...0x1B000, 0x1B120...0x1B122,
      0x1B155...0x1B155, 0x1B164...0x1B167,
    ],
    "hangul": [
      0x1100...0x11FF, 0x302E...0x302F, 0x3131...0x318E, 0x3200...0x321E, 0x3260...0x327E,
      0xA960...0xA97C, 0xAC00...0xD7A3, 0xD7B0...0xD7C6, 0xD7CB...0xD7FB, 0xFFA0...0xFFBE,
      0xFFC2...0xFFC7, 0xFFCA...0xFFCF, 0xFFD2...0xFFD7, 0xFFDA...0xFFDC,
    ],
  ]

  /// What `\p{name}` stands for; nil for a name that is not known.
  static func property(_ name: String) -> ScalarSet? {
    if let ranges = scripts[name.lowercased()] { return .union(ranges.map { .range($0) }) }
    let long = ["letter": "L", "mark": "M", "number": "N", "punctuation": "P", "symbol": "S"]
    let categories = named(long[name.lowercased()] ?? name)
    return name.isEmpty || categories.isEmpty ? nil : .categories(categories)
  }
}

extension Unicode.Scalar {
  /// Whether the scalar is a letter, a mark, a decimal number or a connector.
  var isWordPart: Bool {
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter,
      .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation:
      true
    default: properties.isAlphabetic
    }
  }
}

/// A set that answers for ASCII from a table.
struct ScalarClassTable: Sendable {
  private let low: UInt64
  private let high: UInt64
  private let set: ScalarSet
  /// What a look costs in a matcher's steps, for scalars beyond ASCII.
  let cost: Int

  /// Prepares a set.
  init(_ set: ScalarSet) {
    self.set = set
    func bits(_ start: UInt32) -> UInt64 {
      (0..<64).reduce(UInt64(0)) { $0 | (set.contains(start + $1) ? 1 << UInt64($1) : 0) }
    }
    (low, high) = (bits(0), bits(64))
    cost = set.size / 8
  }

  /// Whether a scalar belongs to the set.
  @inline(__always)
  func contains(_ value: UInt32) -> Bool {
    if value < 64 { return low >> UInt64(value) & 1 != 0 }
    if value < 128 { return high >> UInt64(value - 64) & 1 != 0 }
    return set.contains(value)
  }
}
