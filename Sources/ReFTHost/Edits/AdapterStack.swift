// SPDX-License-Identifier: Apache-2.0
// Several adapters on one sequence: how strongly each acts, and what their edits are together.

public import ReFTTensor

/// What the edits of several adapters are together where they meet.
public enum CompositionRule: String, Sendable, Hashable, CaseIterable {
  /// Each adapter edits what the frozen model computed, and the differences times their strengths are
  /// added; the order is no matter.
  case sum
  /// Each adapter edits what the one before it left, in the order given.
  case sequential
  /// Two adapters that edit the same numbers are an error.
  case error
}

/// The adapters that edit a sequence together, each with its strength.
public struct AdapterStack: Sendable {
  /// One adapter and how much of its change counts.
  public struct Part: Sendable {
    /// The adapter.
    public var adapter: Adapter
    /// Times its difference: 1 is the adapter as it was trained, 0 leaves the model alone.
    public var strength: Float
    /// What the user calls it, for messages.
    public var name: String

    /// Names an adapter and its strength.
    public init(_ adapter: Adapter, strength: Float = 1, name: String = "") {
      self.adapter = adapter
      self.strength = strength
      self.name = name
    }
  }

  /// The adapters, in the order given.
  public var parts: [Part]
  /// What their edits are together.
  public var rule: CompositionRule

  /// Puts adapters together; without any, the model is left alone.
  public init(_ parts: [Part] = [], rule: CompositionRule = .sum) {
    self.parts = parts
    self.rule = rule
  }

  /// One adapter as it was trained, or none.
  public init(_ adapter: Adapter?) { self.init(adapter.map { [Part($0)] } ?? []) }

  /// Whether there is no adapter.
  public var isEmpty: Bool { parts.isEmpty }

  /// The adapter that all gradients belong to, where there is one alone.
  public var only: Adapter? { parts.count == 1 ? parts[0].adapter : nil }

  /// The interventions of all adapters.
  public var specs: [InterventionSpec] { parts.flatMap(\.adapter.specs) }

  /// The part that each plugin took, by name, of the `seconds` in which all calls so far were made.
  public func pluginShares(seconds: Double) -> [String: Double] {
    var result: [String: Double] = [:]
    for part in parts {
      result.merge(part.adapter.pluginShares(seconds: seconds), uniquingKeysWith: +)
    }
    return result
  }

  /// The template that instructions are worded with: that of the adapters that name one.
  ///
  /// - Throws: `.usage` where they were trained with different ones.
  public func template() throws(ReFTError) -> String? {
    let named = parts.compactMap { part in part.adapter.template.map { (part.name, $0) } }
    guard let first = named.first else { return nil }
    if let other = named.first(where: { $0.1 != first.1 }) {
      throw .differentTemplates(first, other)
    }
    return first.1
  }

  /// The head that answers: that of the adapter that has one.
  public var answeringHead: Head? { parts.lazy.compactMap(\.adapter.head).first }

  /// Makes sure that one adapter alone has a head.
  ///
  /// - Throws: `.usage` where two adapters have one each.
  public func checkHeads() throws(ReFTError) {
    let parts = parts.filter { $0.adapter.head != nil }
    if parts.count > 1 { throw .severalHeads(parts.map(\.name)) }
  }

  /// Makes sure that no two LoRAs update the same matrix where the rule forbids that adapters meet.
  ///
  /// - Throws: `.usage`, naming the two and the matrix.
  func checkUpdates() throws(ReFTError) {
    guard rule == .error else { return }
    var owners: [ParameterOwner: String] = [:]
    for part in acting.parts {
      for owner in part.adapter.lora?.owners ?? [] {
        guard let other = owners.updateValue(part.name, forKey: owner) else { continue }
        throw .updatesMeet(other, part.name, matrix: owner.prefix)
      }
    }
  }

  /// Those that change something.
  var acting: AdapterStack { AdapterStack(parts.filter { $0.strength != 0 }, rule: rule) }

  /// Whether two stacks edit alike, with the same parameters.
  func isSame(as other: AdapterStack) -> Bool {
    rule == other.rule
      && parts.elementsEqual(other.parts) { one, other in
        one.adapter === other.adapter && one.strength == other.strength
      }
  }
}

extension ReFTError {
  static func differentTemplates(
    _ one: (name: String, template: String),
    _ other: (name: String, template: String)
  ) -> ReFTError {
    ReFTError(
      .usage,
      "the adapters were trained with different templates: '\(one.name)' with '\(one.template)', "
        + "'\(other.name)' with '\(other.template)'; say with --template which is meant"
    )
  }

  static func severalHeads(_ names: [String]) -> ReFTError {
    ReFTError(
      .usage,
      "the adapters \(names.map { "'\($0)'" }.joined(separator: " and ")) each have a head, and one "
        + "alone can answer; leave one of them out"
    )
  }

  static func updatesMeet(_ one: String, _ other: String, matrix: String) -> ReFTError {
    ReFTError(
      .usage,
      "the adapters '\(one)' and '\(other)' both have a '\(matrix)'; compose them by sum, or give adapters "
        + "of other layers or matrices"
    )
  }

  static func editsMeet(
    _ one: String,
    _ other: String,
    site: String,
    position: Int32
  ) -> ReFTError {
    ReFTError(
      .usage,
      "the adapters '\(one)' and '\(other)' both edit the \(site) at position \(position); compose them "
        + "by sum or sequential, or give adapters of other layers or positions"
    )
  }
}
