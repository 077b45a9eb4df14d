// SPDX-License-Identifier: Apache-2.0
// Reads a regular expression: alternatives, groups, loops, classes, escapes. What it does not know is
// an error with the place, never a guess.

/// Reads an expression from its scalars.
struct ExpressionParser {
  /// How deep groups and classes may nest.
  private static let deepest = 60

  private let scalars: [Unicode.Scalar]
  private var index = 0
  private var depth = 0
  /// Whether letters stand for both of their cases.
  private var foldsCase = false
  private let dialect: ExpressionDialect
  /// How many groups note what they take.
  private(set) var groups = 0

  /// Prepares to read an expression of at most 16,384 scalars.
  init(_ pattern: String, dialect: ExpressionDialect = .ruby) {
    scalars = Array(pattern.unicodeScalars.prefix(16_385))
    self.dialect = dialect
  }

  /// Reads the whole expression.
  mutating func parse() throws(ExpressionFault) -> Expression.Node {
    guard scalars.count <= 16_384 else { throw fault("is longer than 16384 characters") }
    let node = try choice()
    guard index == scalars.count else { throw fault("has a ')' too many") }
    return node
  }

  private func fault(_ reason: String) -> ExpressionFault {
    ExpressionFault(reason: "\(reason), at character \(index + 1)")
  }

  private var next: Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

  private mutating func take(_ text: String) -> Bool {
    let wanted = Array(text.unicodeScalars)
    guard scalars[index...].starts(with: wanted) else { return false }
    index += wanted.count
    return true
  }

  private mutating func enter() throws(ExpressionFault) {
    depth += 1
    guard depth <= Self.deepest else { throw fault("nests deeper than \(Self.deepest)") }
  }

  // MARK: Alternatives and loops

  private mutating func choice() throws(ExpressionFault) -> Expression.Node {
    try enter()
    let folds = foldsCase
    var alternatives: [Expression.Node] = []
    repeat { alternatives.append(try sequence()) } while take("|")
    foldsCase = folds
    depth -= 1
    return alternatives.count == 1 ? alternatives[0] : .choice(alternatives)
  }

  private mutating func sequence() throws(ExpressionFault) -> Expression.Node {
    var nodes: [Expression.Node] = []
    while let scalar = next, scalar != "|", scalar != ")" {
      guard var node = try atom() else { continue }
      var loops = 0
      while let loop = try quantifier() {
        loops += 1
        guard loops <= 4 else { throw fault("has too many quantifiers") }
        node = .loop(node, least: loop.least, most: loop.most, loop.greed)
      }
      nodes.append(node)
    }
    return nodes.count == 1 ? nodes[0] : .sequence(nodes)
  }

  private mutating func quantifier() throws(ExpressionFault) -> (
    least: Int, most: Int?, greed: Expression.Greed
  )? {
    var (least, most): (Int, Int?)
    var isInterval = false
    switch next {
    case "*": (least, most) = (0, nil)
    case "+": (least, most) = (1, nil)
    case "?": (least, most) = (0, 1)
    case "{":
      guard let interval = try interval() else { return nil }
      (least, most) = interval
      isInterval = true
    default: return nil
    }
    if !isInterval { index += 1 }
    if take("?") { return (least, most, .lazy) }
    // In this dialect a plus behind an interval is a loop of its own.
    if !isInterval, take("+") { return (least, most, .possessive) }
    return (least, most, .greedy)
  }

  /// Reads `{2}`, `{2,}`, `{,3}` or `{2,3}`; nil, and nothing read, where there is none of these.
  private mutating func interval() throws(ExpressionFault) -> (Int, Int?)? {
    let start = index
    index += 1
    let least = digits()
    let hasComma = take(",")
    let most = hasComma ? digits() : least
    guard least != nil || most != nil, take("}") else {
      index = start
      return nil
    }
    guard (least ?? 0) <= 1000, (most ?? 0) <= 1000, (least ?? 0) <= most ?? .max else {
      throw fault("has an interval beyond 0 to 1000, or one that falls")
    }
    return (least ?? 0, most)
  }

  private mutating func digits() -> Int? {
    var value: Int?
    while let scalar = next, let digit = Int(String(scalar)), scalar.isASCII {
      value = min((value ?? 0) * 10 + digit, 1_000_000)
      index += 1
    }
    return value
  }

  // MARK: Atoms

  /// Reads an atom; nil for what only changes how the rest is read.
  private mutating func atom() throws(ExpressionFault) -> Expression.Node? {
    guard let scalar = next else { throw fault("ends too early") }
    switch scalar {
    case "(": return try group()
    case "[":
      index += 1
      return .set(try scalarClass())
    case "\\": return try escape()
    case ".":
      index += 1
      return .set(.complement(.scalar(0x0A)))
    case "^":
      index += 1
      return .place(dialect == .python ? .textStart : .lineStart)
    case "$":
      index += 1
      return .place(dialect == .python ? .textEndOrLastBreak : .lineEnd)
    case "*", "+", "?": throw fault("has a quantifier of nothing")
    default:
      index += 1
      return .set(literal(scalar))
    }
  }

  private func literal(_ scalar: Unicode.Scalar) -> ScalarSet {
    foldsCase ? .folded(scalar.value) : .scalar(scalar.value)
  }

  private mutating func group() throws(ExpressionFault) -> Expression.Node? {
    index += 1
    let folds = foldsCase
    var wrap: (Expression.Node) -> Expression.Node = { $0 }
    if take("?") {
      if take("=") {
        wrap = { .look($0, isNegative: false) }
      } else if take("!") {
        wrap = { .look($0, isNegative: true) }
      } else if take(">") {
        wrap = { .atomic($0) }
      } else if take("i:") {
        foldsCase = true
      } else if take("-i:") {
        foldsCase = false
      } else if take("i)") {
        foldsCase = true
        return nil
      } else if dialect == .python, take("P<") {
        try skipName()
        wrap = capture()
      } else if !take(":") {
        throw fault("has a group of a kind that is not known: (?\(next.map(String.init) ?? "")")
      }
    } else if dialect == .python {
      wrap = capture()
    }
    let node = try choice()
    guard take(")") else { throw fault("lacks a ')'") }
    foldsCase = folds
    return wrap(node)
  }

  /// What makes a group note what it takes; groups count by their opening brackets.
  private mutating func capture() -> (Expression.Node) -> Expression.Node {
    let number = groups
    groups += 1
    return { .capture($0, number) }
  }

  /// Goes past a group's name: groups are named by their numbers.
  private mutating func skipName() throws(ExpressionFault) {
    while let scalar = next, scalar != ">" {
      guard scalar.properties.isAlphabetic || scalar == "_" || ("0"..."9").contains(scalar) else {
        throw fault("has a group's name that is none")
      }
      index += 1
    }
    guard take(">") else { throw fault("lacks a '>' behind a group's name") }
  }

  private mutating func escape() throws(ExpressionFault) -> Expression.Node {
    let places: [Unicode.Scalar: Expression.Place] = [
      "b": .wordEdge, "B": .noWordEdge, "A": .textStart, "z": .textEnd, "Z": .textEndOrLastBreak,
    ]
    if index + 1 < scalars.count, let place = places[scalars[index + 1]] {
      index += 2
      return .place(place)
    }
    let (set, value) = try escapedSet()
    if let value, let scalar = Unicode.Scalar(value) { return .set(literal(scalar)) }
    return .set(set)
  }

  /// Reads an escape that stands for scalars; the value where it stands for one.
  private mutating func escapedSet() throws(ExpressionFault) -> (ScalarSet, UInt32?) {
    index += 1
    guard let scalar = next else { throw fault("ends behind a backslash") }
    index += 1
    func one(_ value: UInt32) -> (ScalarSet, UInt32?) { (.scalar(value), value) }
    switch scalar {
    case "s": return (.space, nil)
    case "S": return (.complement(.space), nil)
    case "d": return (.categories([.decimalNumber]), nil)
    case "D": return (.complement(.categories([.decimalNumber])), nil)
    case "w": return (.word, nil)
    case "W": return (.complement(.word), nil)
    case "p", "P": return (try property(isNegative: scalar == "P"), nil)
    case "n": return one(0x0A)
    case "r": return one(0x0D)
    case "t": return one(0x09)
    case "f": return one(0x0C)
    case "v": return one(0x0B)
    case "u": return one(try hexadecimal(4))
    case "x":
      guard take("{") else { return one(try hexadecimal(2)) }
      let value = try hexadecimal(8)
      guard take("}") else { throw fault("lacks a '}' behind \\x{") }
      return one(value)
    default:
      guard !scalar.properties.isAlphabetic, !("0"..."9").contains(scalar) else {
        throw fault("has the escape '\\\(scalar)', which is not known")
      }
      return one(scalar.value)
    }
  }

  private mutating func hexadecimal(_ most: Int) throws(ExpressionFault) -> UInt32 {
    var value: UInt32?
    for _ in 0..<most {
      guard let scalar = next, let digit = UInt32(String(scalar), radix: 16) else { break }
      value = (value ?? 0) << 4 | digit
      index += 1
    }
    guard let value, value <= 0x10FFFF else { throw fault("has an escape that is no character") }
    return value
  }

  private mutating func property(isNegative: Bool) throws(ExpressionFault) -> ScalarSet {
    var name = ""
    if take("{") {
      while let scalar = next, scalar != "}", name.utf8.count < 40 {
        name.unicodeScalars.append(scalar)
        index += 1
      }
      guard take("}") else { throw fault("lacks a '}' behind \\p{") }
    } else if let scalar = next {
      name = String(scalar)
      index += 1
    }
    var isComplement = isNegative
    if name.hasPrefix("^") {
      isComplement.toggle()
      name.removeFirst()
    }
    if name.hasPrefix("Is") { name.removeFirst(2) }
    guard let set = ScalarSet.property(name) else {
      throw fault("names the property '\(name)', which is not known")
    }
    return isComplement ? .complement(set) : set
  }

  // MARK: Classes

  /// Reads a class, behind its opening bracket.
  private mutating func scalarClass() throws(ExpressionFault) -> ScalarSet {
    try enter()
    let isNegative = take("^")
    var sets: [ScalarSet] = []
    var before: ScalarSet?
    var isFirst = true
    while true {
      guard let scalar = next else { throw fault("lacks a ']'") }
      if scalar == "]", !isFirst {
        index += 1
        break
      }
      isFirst = false
      if dialect == .ruby, take("&&") {
        let left = ScalarSet.union(sets)
        before = before.map { .intersection($0, left) } ?? left
        sets = []
      } else if dialect == .ruby, take("[") {
        guard next != ":" else { throw fault("has a bracket expression '[:'") }
        sets.append(try scalarClass())
      } else {
        sets.append(try classItem())
      }
    }
    depth -= 1
    let right = ScalarSet.union(sets)
    let set = before.map { .intersection($0, right) } ?? right
    return isNegative ? .complement(set) : set
  }

  /// Reads a scalar, a range, or an escape within a class.
  private mutating func classItem() throws(ExpressionFault) -> ScalarSet {
    let (set, low) = try classScalar()
    guard let low else { return set }
    if next == "-", index + 1 < scalars.count, scalars[index + 1] != "]" {
      let start = index
      index += 1
      if next != "[" {
        let (_, high) = try classScalar()
        guard let high, high >= low else { throw fault("has a range that falls, or has no end") }
        return foldsCase ? foldedRange(low...high) : .range(low...high)
      }
      index = start
    }
    return foldsCase ? .folded(low) : set
  }

  private mutating func classScalar() throws(ExpressionFault) -> (ScalarSet, UInt32?) {
    if next == "\\" { return try escapedSet() }
    guard let scalar = next else { throw fault("lacks a ']'") }
    index += 1
    return (.scalar(scalar.value), scalar.value)
  }

  private func foldedRange(_ range: ClosedRange<UInt32>) -> ScalarSet {
    let lower = max(range.lowerBound, 0x41)
    let upper = min(range.upperBound, 0x7A)
    guard lower <= upper else { return .range(range) }
    return .union([.range(range)] + (lower...upper).map { .folded($0) })
  }
}
