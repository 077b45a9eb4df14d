// SPDX-License-Identifier: Apache-2.0
// Runs an expression over text, trying alternatives in their order and going back where one leads
// nowhere. The steps are counted: an expression that would try without end finds nothing more.

/// Finds where an expression matches, within a budget of steps.
struct ExpressionMatcher {
  /// What to go back to.
  private enum Choice {
    /// Go on at a step, from a place in the text.
    case resume(step: Int, at: Int)
    /// A greedy run gives one scalar back, as long as it stays at or behind `least`.
    case giveBack(step: Int, least: Int, at: Int)
    /// A lazy run takes one scalar more, at most `left` of them.
    case takeMore(step: Int, set: Int, at: Int, left: Int)
    /// A loop's mark has its former place again.
    case unmark(Int, Int)
    /// A slot of a group has its former place again.
    case forget(Int, Int)
    /// All of them have: what was looked at, or taken as a whole, is undone at once.
    case forgetAll([Int])
  }

  private let expression: Expression
  private let text: ByteText
  private let start: Int
  private let end: Int
  private var marks: [Int]
  private var choices: [Choice] = []
  /// Where each group of the last match begins and ends; −1 where it took nothing.
  private(set) var groups: [Int]
  /// How many steps may still be made.
  private(set) var budget: Int

  /// Prepares to search one part of a text, outside of which nothing is seen.
  init(_ expression: Expression, _ text: ByteText, from start: Int, to end: Int) {
    (self.expression, self.text, self.start, self.end) = (expression, text, start, end)
    marks = [Int](repeating: -1, count: expression.marks)
    groups = [Int](repeating: -1, count: 2 * expression.groups)
    budget = 1_000_000 + 512 * (end - start)
  }

  /// The first match at or behind a place; nil where there is none.
  mutating func next(from place: Int) -> Range<Int>? {
    var place = place
    while place <= end, budget > 0 {
      choices.removeAll(keepingCapacity: true)
      for slot in groups.indices { groups[slot] = -1 }
      if let matchEnd = run(from: 0, at: place) { return place..<matchEnd }
      guard place < end else { return nil }
      place += text.scalar(at: place, end: end).length
    }
    return nil
  }

  /// Runs from a step on; the place where it succeeds.
  private mutating func run(from first: Int, at place: Int) -> Int? {
    let base = choices.count
    var (step, at) = (first, place)
    while true {
      budget -= 1
      if budget <= 0 { return nil }
      var isAlive = true
      switch expression.steps[step] {
      case .succeed:
        choices.removeSubrange(base...)
        return at
      case .set(let set):
        isAlive = take(set, &at)
        step += 1
      case .run(let set, let least, let most, let greed):
        isAlive = takeRun(set, least, most, greed, step + 1, &at)
        step += 1
      case .fork(let first, let second):
        choices.append(.resume(step: second, at: at))
        step = first
      case .jump(let target): step = target
      case .place(let place):
        isAlive = holds(place, at)
        step += 1
      case .look(let next, let isNegative):
        if !groups.isEmpty { choices.append(.forgetAll(groups)) }
        isAlive = (run(from: step + 1, at: at) == nil) == isNegative
        step = next
      case .atomic(let next):
        if !groups.isEmpty { choices.append(.forgetAll(groups)) }
        if let end = run(from: step + 1, at: at) { at = end } else { isAlive = false }
        step = next
      case .note(let slot):
        choices.append(.forget(slot, groups[slot]))
        groups[slot] = at
        step += 1
      case .mark(let mark):
        choices.append(.unmark(mark, marks[mark]))
        marks[mark] = at
        step += 1
      case .progressed(let mark):
        isAlive = marks[mark] != at
        step += 1
      }
      if !isAlive {
        guard let back = goBack(above: base) else { return nil }
        (step, at) = back
      }
    }
  }

  /// The last choice that is left above `base`.
  private mutating func goBack(above base: Int) -> (step: Int, at: Int)? {
    while choices.count > base, let choice = choices.popLast() {
      switch choice {
      case .resume(let step, let at): return (step, at)
      case .unmark(let mark, let place): marks[mark] = place
      case .forget(let slot, let place): groups[slot] = place
      case .forgetAll(let places): groups = places
      case .giveBack(let step, let least, let at):
        let before = text.scalarStart(before: at, from: start)
        if before > least { choices.append(.giveBack(step: step, least: least, at: before)) }
        return (step, before)
      case .takeMore(let step, let set, let place, let left):
        var at = place
        guard take(set, &at) else { continue }
        if left > 1 { choices.append(.takeMore(step: step, set: set, at: at, left: left - 1)) }
        return (step, at)
      }
    }
    return nil
  }

  private mutating func take(_ set: Int, _ at: inout Int) -> Bool {
    guard at < end else { return false }
    let scalar = text.scalar(at: at, end: end)
    if scalar.value >= 0x80 { budget -= expression.sets[set].cost }
    guard expression.sets[set].contains(scalar.value) else { return false }
    at += scalar.length
    return true
  }

  private mutating func takeRun(
    _ set: Int,
    _ least: Int,
    _ most: Int,
    _ greed: Expression.Greed,
    _ next: Int,
    _ at: inout Int
  ) -> Bool {
    var count = 0
    while count < least {
      guard take(set, &at) else { return false }
      count += 1
    }
    if greed == .lazy {
      if count < most {
        choices.append(.takeMore(step: next, set: set, at: at, left: most - count))
      }
      return true
    }
    let low = at
    while count < most, take(set, &at) { count += 1 }
    budget -= count
    if greed == .greedy, at > low { choices.append(.giveBack(step: next, least: low, at: at)) }
    return true
  }

  private func holds(_ place: Expression.Place, _ at: Int) -> Bool {
    switch place {
    case .lineStart: at == start || text.bytes[at - 1] == 0x0A
    case .lineEnd: at == end || text.bytes[at] == 0x0A
    case .textStart: at == start
    case .textEnd: at == end
    case .textEndOrLastBreak: at == end || at + 1 == end && text.bytes[at] == 0x0A
    case .wordEdge: isWord(before: at) != isWord(behind: at)
    case .noWordEdge: isWord(before: at) == isWord(behind: at)
    }
  }

  private func isWord(before at: Int) -> Bool {
    isWord(text.scalarStart(before: at, from: start), end: at)
  }

  private func isWord(behind at: Int) -> Bool { isWord(at, end: end) }

  private func isWord(_ at: Int, end: Int) -> Bool {
    at < end && ScalarSet.word.contains(text.scalar(at: at, end: end).value)
  }
}
