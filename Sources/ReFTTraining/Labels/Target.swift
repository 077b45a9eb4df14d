// SPDX-License-Identifier: Apache-2.0
// What a head must answer for a text, and how a written label becomes it.

package import ReFTHost
package import ReFTTensor

/// What a head must answer for one text.
public enum Target: Sendable, Equatable {
  /// The number of the one label that holds.
  case label(Int)
  /// Whether each label holds.
  case labels([Bool])
  /// A number.
  case value(Double)
}

/// Turns written labels into targets of a head.
package struct LabelReader: Sendable {
  let task: HeadSpec.Task
  let labels: LabelSet

  /// Reads labels for a head.
  package init(_ spec: HeadSpec) { self.init(task: spec.task, labels: spec.labels) }

  init(task: HeadSpec.Task, labels: LabelSet) { (self.task, self.labels) = (task, labels) }

  /// The target that a label means.
  ///
  /// A whole number is the number of a label, unless a label has it for a name.
  ///
  /// - Throws: `badData` with the place for a label that the head does not have.
  package func target(_ value: LabelValue, place: String) throws(ReFTError) -> Target {
    switch task {
    case .classification: return .label(try number(value, place: place))
    case .multiLabel:
      var holds = [Bool](repeating: false, count: labels.count)
      guard case .list(let items) = value else {
        throw .wrongLabel(place, found: value.shown, expected: "a list of the labels that hold")
      }
      for item in items { holds[try number(item, place: place)] = true }
      return .labels(holds)
    case .regression:
      switch value {
      case .whole(let number): return .value(Double(number))
      case .real(let number): return .value(number)
      case .name, .list: throw .wrongLabel(place, found: value.shown, expected: "a number")
      }
    }
  }

  private func number(_ value: LabelValue, place: String) throws(ReFTError) -> Int {
    switch value {
    case .whole(let number):
      if let named = labels.number(of: String(number)) { return named }
      if let number = Int(exactly: number), (0..<labels.count).contains(number) { return number }
    case .name(let name):
      if let number = labels.number(of: name) { return number }
    case .real, .list: break
    }
    var expected = "one of the labels \(labels.description)"
    if labels.names != nil { expected += ", or a number from 0 to \(labels.count - 1)" }
    throw .wrongLabel(place, found: value.shown, expected: expected)
  }
}

/// Finds the labels of data whose configuration names none.
struct LabelSurvey {
  private var names: Set<String> = []
  private var largest: Int64 = -1
  private var firstName = ""
  private var firstNumber = ""

  /// Takes a label into account.
  ///
  /// - Throws: `badData` for a label that can be none of a classification, and for names among numbers.
  mutating func add(_ value: LabelValue, place: String) throws(ReFTError) {
    switch value {
    case .name(let name):
      names.insert(name)
      if firstName.isEmpty { firstName = place }
    case .whole(let number):
      guard (0..<Int64(LabelSet.maximumCount)).contains(number) else {
        throw .wrongLabel(
          place,
          found: value.shown,
          expected: "a label's number from 0 to \(LabelSet.maximumCount - 1), or its name"
        )
      }
      largest = max(largest, number)
      if firstNumber.isEmpty { firstNumber = place }
    case .list(let items):
      for item in items { try add(item, place: place) }
    case .real:
      throw .wrongLabel(
        place,
        found: value.shown,
        expected: "a label's number or name; numbers with a fraction are of 'head.task: regression'"
      )
    }
    guard names.isEmpty || largest < 0 else { throw .mixedLabels(firstName, firstNumber) }
    guard names.count <= LabelSet.maximumCount else {
      throw .wrongLabel(place, found: value.shown, expected: "no more labels than are known by now")
    }
  }

  /// The labels: names in their order, or the numbers from 0 to the largest.
  var labels: LabelSet {
    names.isEmpty ? LabelSet(count: Int(largest + 1)) : LabelSet(names: names.sorted())
  }
}

extension ReFTError {
  static func wrongLabel(_ place: String, found: String, expected: String) -> ReFTError {
    ReFTError(.badData, "\(place): \"label\" is \(found); expected \(expected)")
  }

  static func mixedLabels(_ name: String, _ number: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(name): a label that is a name, and at \(number) one that is a number; write them alike, or "
        + "name them with 'head.labels'"
    )
  }
}
