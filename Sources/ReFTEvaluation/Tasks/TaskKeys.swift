// SPDX-License-Identifier: Apache-2.0
// The parts of a task file: rows, rows that are shown, chance, and the one scorer.

import ReFTGeneration
import ReFTTensor
import ReFTText
import ReFTTraining

/// Reads the parts of a task file.
struct TaskKeys {
  /// The file's folder, which relative paths begin at.
  let folder: String

  func path(_ text: String) -> String {
    text.hasPrefix("/") || folder == "." ? text : folder + "/" + text
  }

  // MARK: Rows

  func data(_ node: ConfigurationNode) throws(ReFTError) -> TaskData {
    var reader = try ConfigurationReader(node, path: "data")
    var data = TaskData()
    data.path = try reader.string("file").map(path)
    data.format = try reader.choice("format")
    data.columns = try reader.strings("columns")
    data.split = try reader.pattern("split")
    if let fields = reader.node("fields") {
      let names = try ConfigurationReader(fields, path: "data.fields")
      for entry in names.keys { data.derived.append(try derived(entry)) }
    }
    try reader.finish()
    return data
  }

  private func derived(_ entry: ConfigurationNode.Entry) throws(ReFTError) -> DerivedField {
    var reader = try ConfigurationReader(entry.value, path: "data.fields.\(entry.key)")
    let source = try reader.required("from", purpose: "name the field to cut it out of") {
      (reader, key) throws(ReFTError) in try reader.string(key)
    }
    let first = try reader.pattern("match")
    let all = try reader.pattern("all")
    let replaced = try reader.pattern("replace")
    let with = try reader.string("with") ?? ""
    let otherwise = try reader.string("otherwise")
    try reader.finish()
    let rules: [DerivedField.Rule] = [
      first.map { .first($0) }, all.map { .all($0) }, replaced.map { .replaced($0, with: with) },
    ].compactMap { $0 }
    guard rules.count == 1 else {
      throw .configuration(
        entry.keyOrigin,
        "the field '\(entry.key)' must have one of match, all and replace, found \(rules.count)"
      )
    }
    return DerivedField(
      name: entry.key,
      source: source,
      rule: rules[0],
      otherwise: otherwise
    )
  }

  func shots(_ node: ConfigurationNode) throws(ReFTError) -> FewShots {
    var reader = try ConfigurationReader(node, path: "few_shot")
    var shots = FewShots(count: try reader.integer("count", in: 0...1000) ?? 5)
    shots.path = try reader.string("file").map(path)
    if let seed = try reader.integer("seed", in: 0...Int.max) { shots.seed = UInt64(seed) }
    if try reader.flag("first") == true { shots.seed = nil }
    shots.separator = try reader.string("separator") ?? "\n\n"
    shots.answer = try reader.wording("answer")
    try reader.finish()
    return shots
  }

  func chance(_ node: ConfigurationNode) throws(ReFTError) -> TaskChance {
    if case .mapping = node.content {
      var reader = try ConfigurationReader(node, path: "chance")
      let field = try reader.required("one_of", purpose: "name the field with the options") {
        (reader, key) throws(ReFTError) in try reader.string(key)
      }
      try reader.finish()
      return .oneOf(field)
    }
    return .value(
      try node.number(key: "chance", expected: "a number from 0 to 1, or {one_of: FIELD}") {
        (0...1).contains($0)
      }
    )
  }

  // MARK: The scorer

  private enum Take: String, CaseIterable { case first, last }
  private enum NormaliserName: String, CaseIterable { case exact, text, number, letter }

  private static let kinds = [
    "choice", "generate", "class", "regression", "perplexity", "outputs",
  ]

  func scorer(_ reader: inout ConfigurationReader) throws(ReFTError) -> TaskScorer {
    var found: [(kind: String, node: ConfigurationNode)] = []
    for kind in Self.kinds {
      if let node = reader.node(kind) { found.append((kind, node)) }
    }
    guard found.count == 1 else {
      throw .configuration(
        reader.origin,
        "a task has one scorer, of \(Self.kinds.joined(separator: ", ")); found "
          + (found.isEmpty ? "none" : found.map(\.kind).joined(separator: " and "))
      )
    }
    let (kind, node) = found[0]
    var keys = try ConfigurationReader(node, path: kind)
    let scorer: TaskScorer =
      switch kind {
      case "choice": .choice(try choice(&keys))
      case "generate": .generation(try generation(&keys))
      case "class": .head(try head(&keys, isRegression: false))
      case "regression": .head(try head(&keys, isRegression: true))
      case "outputs": .generation(try outputs(&keys))
      default: .perplexity(try perplexity(&keys))
      }
    try keys.finish()
    return scorer
  }

  private func wording(
    _ keys: inout ConfigurationReader,
    _ key: String,
    purpose: String
  ) throws(ReFTError) -> Wording {
    try keys.required(key, purpose: purpose) { (reader, key) throws(ReFTError) in
      try reader.wording(key)
    }
  }

  private func choice(_ keys: inout ConfigurationReader) throws(ReFTError) -> ChoiceRule {
    let node = try keys.required("options", purpose: "write a list, or the name of a field") {
      (reader, key) throws(ReFTError) in reader.node(key)
    }
    let options: ChoiceRule.Options
    if case .sequence(let items) = node.content {
      var wordings: [Wording] = []
      for item in items { wordings.append(try item.wording(key: keys.name("options"))) }
      options = .wordings(wordings)
    } else {
      options = .list(.field(try node.string(key: keys.name("options"))))
    }
    let answer = try wording(&keys, "answer", purpose: "write which option is right")
    var rule = ChoiceRule(options: options, answer: answer)
    rule.labels = try keys.strings("labels") ?? []
    rule.text = try keys.wording("text")
    rule.isTogether = try keys.flag("together") ?? true
    return rule
  }

  private func generation(
    _ keys: inout ConfigurationReader
  ) throws(ReFTError) -> GenerationRule {
    let answer = try wording(&keys, "answer", purpose: "write what is right, such as \"{answer}\"")
    var rule = GenerationRule(answer: answer)
    try readDrawing(&keys, into: &rule)
    var steps: [Extraction.Step] = []
    if let mark = try keys.string("after") { steps.append(.after(mark)) }
    let takesLast = try keys.choice("take", as: Take.self) == .last
    if let pattern = try keys.pattern("extract") {
      steps.append(.match(pattern, place: takesLast ? -1 : 0, otherwise: ""))
    }
    rule.extractions = [Extraction(steps: steps)]
    switch try keys.choice("normalise", as: NormaliserName.self) ?? .text {
    case .exact: rule.normaliser = .exact
    case .text: rule.normaliser = .text
    case .number: rule.normaliser = .number
    case .letter: rule.normaliser = .letter(last: "E")
    }
    return rule
  }

  private func readDrawing(
    _ keys: inout ConfigurationReader,
    into rule: inout GenerationRule
  ) throws(ReFTError) {
    rule.maxTokens = try keys.integer("max_tokens", in: 1...1_000_000) ?? 256
    rule.stop = try keys.strings("stop") ?? []
    let positive = { (value: Double) in value >= 0 }
    rule.sampling.temperature =
      try keys.number("temperature", expected: "a number from 0", where: positive) ?? 0
    rule.sampling.topK = try keys.integer("top_k", in: 0...Int.max) ?? 0
    rule.sampling.topP =
      try keys.number("top_p", expected: "a number above 0, at most 1") { $0 > 0 && $0 <= 1 } ?? 1
    rule.sampling.repetitionPenalty =
      try keys.number("repetition_penalty", expected: "a number from 0.001 to 1000") {
        (1e-3...1e3).contains($0)
      } ?? 1
    rule.sampling.seed = UInt64(try keys.integer("seed", in: 0...Int.max) ?? 0)
  }

  private func outputs(_ keys: inout ConfigurationReader) throws(ReFTError) -> GenerationRule {
    let asked = try wording(&keys, "instruction", purpose: "write what the judge is told was asked")
    var rule = GenerationRule(answer: asked)
    try readDrawing(&keys, into: &rule)
    rule.outputs = OutputRule(instruction: asked, dataset: try keys.wording("dataset"))
    return rule
  }

  private func head(
    _ keys: inout ConfigurationReader,
    isRegression: Bool
  ) throws(ReFTError) -> HeadRule {
    let text = try wording(&keys, "text", purpose: "write the text, such as \"{sentence}\"")
    let pair = try keys.wording("pair")
    let label = try wording(&keys, isRegression ? "value" : "label", purpose: "write what is right")
    return HeadRule(text: text, pair: pair, label: label, isRegression: isRegression)
  }

  private func perplexity(
    _ keys: inout ConfigurationReader
  ) throws(ReFTError) -> PerplexityRule {
    let text = try wording(&keys, "text", purpose: "write the text, such as \"{text}\"")
    return PerplexityRule(text: text, window: try keys.integer("window", in: 2...Int.max))
  }
}
