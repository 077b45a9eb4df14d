// SPDX-License-Identifier: Apache-2.0
// How the parameters of a plugin add up, where the sum of two of its edits is one of its edits.

import ReFTTensor

/// What becomes of each parameter of a plugin when the differences of several instances are added.
struct AffineForm: Sendable {
  /// How one tensor adds up.
  ///
  /// Σ is over the adapters, s their strengths.
  enum Rule: Sendable {
    /// It is the same in all, and stays.
    case same
    /// Σ s v
    case sum
    /// base + Σ s (v − base), the base being a tensor that is the same in all; without it Σ s v.
    case around(String)
    /// 1 + Σ s (v − 1)
    case aroundOne
  }

  /// Tensors and their shapes and values, of one adapter at one place.
  struct Part {
    var name: String
    var strength: Double
    var spec: InterventionSpec
    var tensors: [String: (shape: [Int], values: [Float])] = [:]
  }

  /// The rule of each tensor.
  let tensors: [String: Rule]
  /// Whether the strengths have to come to 1.
  var needsUnitSum = false
  /// Whether the option `subspace` says which rows of the tensors act.
  var hasSubspace = false

  /// The plugins of which it is known.
  static let known: [String: AffineForm] = [
    "additive-steering": AffineForm(tensors: ["vector": .sum]),
    "lobireft": AffineForm(tensors: ["rotate.weight": .same, "source.bias": .sum]),
    "consreft": AffineForm(
      tensors: ["rotate.weight": .same, "source.bias": .sum],
      needsUnitSum: true
    ),
    "loreft": AffineForm(
      tensors: [
        "rotate.weight": .same, "source.weight": .around("rotate.weight"), "source.bias": .sum,
      ],
      hasSubspace: true
    ),
    "direft": AffineForm(
      tensors: ["proj.weight": .same, "source.weight": .sum, "source.bias": .sum]
    ),
    "noreft": AffineForm(
      tensors: [
        "proj.weight": .same, "proj.bias": .same, "source.weight": .around("proj.weight"),
        "source.bias": .around("proj.bias"),
      ]
    ),
    "red": AffineForm(tensors: ["scale": .aroundOne, "bias": .sum]),
  ]

  /// Options that say how an adapter is trained and not what it does.
  private static let ofTraining: Set = ["dropout", "init", "trainable", "train"]

  /// Makes sure that options and strengths let the edits add up.
  func check(_ specs: [InterventionSpec], strengths: [Float]) throws(ReFTError) {
    let name = specs[0].plugin
    func acting(_ spec: InterventionSpec) -> [String: OptionValue] {
      spec.options.filter {
        !Self.ofTraining.contains($0.key) && !(hasSubspace && $0.key == "subspace")
      }
    }
    for spec in specs.dropFirst() where acting(spec) != acting(specs[0]) {
      throw .notAffine(name, because: "the adapters have other options of it")
    }
    if let activation = specs[0].options["activation"], activation != .string("linear") {
      throw .notAffine(
        name,
        because: "with the activation \(activation) the sum of two is none of its edits"
      )
    }
    if needsUnitSum, abs(strengths.reduce(0, +) - 1) > 1e-6 {
      throw .notAffine(
        name,
        because: "it sets directions to values, so that the strengths have to come to 1 and not to "
          + "\(strengths.reduce(0, +))"
      )
    }
  }

  /// The options of the sum.
  func options(_ specs: [InterventionSpec]) -> [String: OptionValue] {
    var options = specs[0].options
    guard hasSubspace, specs.contains(where: { $0.options["subspace"] != nil }) else {
      return options
    }
    let sets = specs.map { Subspace($0.options["subspace"]) }
    options["subspace"] = .string(Subspace.union(sets).description)
    return options
  }

  /// The parameters of the sum at one place.
  ///
  /// - Throws: `.usage` where adapters differ in what has to be the same.
  func sum(
    _ parts: [Part],
    at place: String
  ) throws(ReFTError) -> [(String, (shape: [Int], values: [Float]))] {
    var result: [(String, (shape: [Int], values: [Float]))] = []
    for (name, rule) in tensors.sorted(by: { $0.key < $1.key }) {
      guard let first = parts[0].tensors[name] else { continue }
      for part in parts where part.tensors[name]?.shape != first.shape {
        throw .notAffine(
          parts[0].spec.plugin,
          because: "'\(place)\(name)' has another shape in '\(part.name)' than in "
            + "'\(parts[0].name)'"
        )
      }
      let width = max(1, first.values.count / first.shape[0])
      var values = first.values
      for index in values.indices {
        let row = index / width
        let acting = hasSubspace ? parts.filter { $0.acts(on: row) } : parts
        let one = acting.first ?? parts[0]
        let own = acting.map { part in
          (strength: part.strength, value: Double(part.tensors[name]?.values[index] ?? 0))
        }
        switch rule {
        case .same:
          guard own.allSatisfy({ Float($0.value) == Float(own[0].value) }) else {
            throw .combineNeedsSame(
              parts.map(\.name),
              tensor: place + name,
              plugin: parts[0].spec.plugin
            )
          }
          values[index] = one.tensors[name]?.values[index] ?? 0
        case .sum: values[index] = Float(own.reduce(0) { $0 + $1.strength * $1.value })
        case .aroundOne:
          values[index] = Float(own.reduce(1) { $0 + $1.strength * ($1.value - 1) })
        case .around(let base):
          let center = Double(one.tensors[base]?.values[index] ?? 0)
          values[index] = Float(own.reduce(center) { $0 + $1.strength * ($1.value - center) })
        }
      }
      result.append((name, (first.shape, values)))
    }
    return result
  }
}

extension AffineForm.Part {
  /// Whether a row of the tensors acts.
  fileprivate func acts(on row: Int) -> Bool { Subspace(spec.options["subspace"]).contains(row) }
}

/// Some of the directions of a low-rank edit, as the option `subspace` of `loreft` writes them.
struct Subspace: CustomStringConvertible {
  /// The directions; nil for all.
  private var rows: Set<Int>?

  /// Reads what the plugin reads: `0-3,6`; empty for all.
  init(_ option: OptionValue?) {
    guard case .string(let text)? = option, !text.isEmpty else { return }
    var rows: Set<Int> = []
    for piece in text.split(separator: ",") {
      let bounds = piece.split(separator: "-").compactMap { Int($0) }
      if let first = bounds.first, let last = bounds.last, first <= last, last - first < 1 << 20 {
        rows.formUnion(first...last)
      }
    }
    self.rows = rows
  }

  func contains(_ row: Int) -> Bool { rows?.contains(row) ?? true }

  /// All directions of several.
  static func union(_ sets: [Subspace]) -> Subspace {
    var result = sets[0]
    for other in sets.dropFirst() {
      if let more = other.rows { result.rows?.formUnion(more) } else { result.rows = nil }
    }
    return result
  }

  /// As the plugin reads it.
  var description: String {
    var ranges: [(Int, Int)] = []
    for row in (rows ?? []).sorted() {
      if let last = ranges.last, last.1 + 1 == row {
        ranges[ranges.count - 1].1 = row
      } else {
        ranges.append((row, row))
      }
    }
    return ranges.map { $0.0 == $0.1 ? "\($0.0)" : "\($0.0)-\($0.1)" }.joined(separator: ",")
  }
}
