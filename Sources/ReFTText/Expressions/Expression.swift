// SPDX-License-Identifier: Apache-2.0
// Regular expressions for cutting text: the part of Ruby's dialect that tokenizers use. Parsed by
// ExpressionParser.swift, laid out as steps here, run by ExpressionMatcher.swift. Foundation's own
// know no bound of their time, and an expression comes from a stranger's file.

/// Whose rules an expression follows.
enum ExpressionDialect: Sendable {
  /// Ruby's, as tokenizers have it; groups note nothing.
  case ruby
  /// Python's, as evaluations have it: `^` and `$` are the ends of the text, brackets in a class stand for
  /// themselves, and groups note what they take.
  case python
}

/// What is wrong with an expression.
struct ExpressionFault: Error {
  /// What is wrong, in words.
  var reason: String
}

/// A regular expression, ready to run.
struct Expression: Sendable {
  /// The expression as it was written.
  let pattern: String
  /// One part of an expression, as it was parsed.
  indirect enum Node: Sendable {
    case set(ScalarSet)
    case sequence([Node])
    case choice([Node])
    case loop(Node, least: Int, most: Int?, Greed)
    case look(Node, isNegative: Bool)
    case atomic(Node)
    /// Notes what it takes as the group of a number, from 0.
    case capture(Node, Int)
    case place(Place)
  }

  /// How a loop takes what it can.
  enum Greed: Sendable {
    /// As much as it can, giving back where the rest needs it.
    case greedy
    /// As little as it can.
    case lazy
    /// As much as it can, giving nothing back.
    case possessive
  }

  /// A place that takes no text.
  enum Place: Sendable {
    case lineStart, lineEnd, textStart, textEnd, textEndOrLastBreak, wordEdge, noWordEdge
  }

  /// One step of the laid out expression.
  enum Step: Sendable {
    /// Takes a scalar of the set of this number.
    case set(Int)
    /// Takes scalars of a set.
    case run(set: Int, least: Int, most: Int, Greed)
    /// Goes on at the first place, and where that leads nowhere at the second.
    case fork(Int, Int)
    case jump(Int)
    /// Goes on at `next` when what follows up to `succeed` is found, or is not.
    case look(next: Int, isNegative: Bool)
    /// Takes what follows up to `succeed` as a whole, and goes on at `next`.
    case atomic(next: Int)
    case place(Place)
    /// Notes the place in a slot: twice a group's number where it begins, one more where it ends.
    case note(Int)
    /// Remembers where a turn of a loop begins.
    case mark(Int)
    /// Goes on where a turn has taken text.
    case progressed(Int)
    case succeed
  }

  /// The most steps of an expression.
  private static let mostSteps = 20_000

  private(set) var steps: [Step] = []
  private(set) var sets: [ScalarClassTable] = []
  /// How many marks loops need.
  private(set) var marks = 0
  /// How many groups note what they take.
  private(set) var groups = 0
  /// How many parts were laid out, empty ones among them.
  private var parts = 0

  /// Parses an expression.
  ///
  /// - Throws: what is wrong with it, or not known.
  init(
    _ pattern: String,
    dialect: ExpressionDialect = .ruby
  ) throws(ExpressionFault) {
    self.pattern = pattern
    var parser = ExpressionParser(pattern, dialect: dialect)
    try add(try parser.parse())
    groups = parser.groups
    try append(.succeed)
  }

  private mutating func append(_ step: Step) throws(ExpressionFault) {
    guard steps.count < Self.mostSteps else {
      throw ExpressionFault(reason: "is larger than \(Self.mostSteps) steps")
    }
    steps.append(step)
  }

  private mutating func add(_ node: Node) throws(ExpressionFault) {
    // Loops of loops of nothing would take no step and all time.
    parts += 1
    guard parts < 10 * Self.mostSteps else { throw ExpressionFault(reason: "repeats too much") }
    switch node {
    case .set(let set): try append(.set(index(of: set)))
    case .place(let place): try append(.place(place))
    case .sequence(let nodes): for node in nodes { try add(node) }
    case .choice(let nodes): try addChoice(nodes)
    case .look(let node, let isNegative):
      try addNested(node) { .look(next: $0, isNegative: isNegative) }
    case .atomic(let node): try addNested(node) { .atomic(next: $0) }
    case .capture(let node, let group):
      try append(.note(2 * group))
      try add(node)
      try append(.note(2 * group + 1))
    case .loop(.set(let set), let least, let most, let greed):
      try append(.run(set: index(of: set), least: least, most: most ?? .max, greed))
    case .loop(let node, let least, let most, .possessive):
      try add(.atomic(.loop(node, least: least, most: most, .greedy)))
    case .loop(let node, let least, let most, let greed):
      try addLoop(node, least, most, isLazy: greed == .lazy)
    }
  }

  private mutating func index(of set: ScalarSet) -> Int {
    sets.append(ScalarClassTable(set))
    return sets.count - 1
  }

  private mutating func addNested(
    _ node: Node,
    _ step: (Int) -> Step
  ) throws(ExpressionFault) {
    let start = steps.count
    try append(.succeed)
    try add(node)
    try append(.succeed)
    steps[start] = step(steps.count)
  }

  private mutating func addChoice(_ nodes: [Node]) throws(ExpressionFault) {
    var jumps: [Int] = []
    for (place, node) in nodes.enumerated() {
      guard place + 1 < nodes.count else {
        try add(node)
        break
      }
      let fork = steps.count
      try append(.succeed)
      try add(node)
      jumps.append(steps.count)
      try append(.succeed)
      steps[fork] = .fork(fork + 1, steps.count)
    }
    for jump in jumps { steps[jump] = .jump(steps.count) }
  }

  private mutating func addLoop(
    _ node: Node,
    _ least: Int,
    _ most: Int?,
    isLazy: Bool
  ) throws(ExpressionFault) {
    for _ in 0..<least { try add(node) }
    func fork(_ inside: Int, _ after: Int) -> Step {
      isLazy ? .fork(after, inside) : .fork(inside, after)
    }
    guard let most else {
      let (start, mark) = (steps.count, marks)
      marks += 1
      try append(.succeed)
      try append(.mark(mark))
      try add(node)
      try append(.progressed(mark))
      try append(.jump(start))
      steps[start] = fork(start + 1, steps.count)
      return
    }
    var forks: [Int] = []
    for _ in least..<max(least, most) {
      forks.append(steps.count)
      try append(.succeed)
      try add(node)
    }
    for place in forks { steps[place] = fork(place + 1, steps.count) }
  }
}
