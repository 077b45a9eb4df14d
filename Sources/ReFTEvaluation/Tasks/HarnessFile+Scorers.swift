// SPDX-License-Identifier: Apache-2.0
// The scorers of lm-evaluation-harness's task files: options, filters and what exact_match looks over.

import ReFTGeneration
import ReFTTensor
import ReFTText
import ReFTTraining

extension HarnessFile {
  // MARK: Choice

  mutating func choice(prompt: Wording?, target: Wording?) throws(ReFTError) -> ChoiceRule {
    guard let node = reader.node("doc_to_choice") else {
      throw .missingKey("doc_to_choice", at: root.origin, purpose: "write the options")
    }
    let options: ChoiceRule.Options
    if case .sequence(let items) = node.content {
      var wordings: [Wording] = []
      for item in items {
        let text = try item.string(key: "doc_to_choice")
        wordings.append(
          .jinja(
            try TextTemplate(text, origin: "\(item.origin.description): 'doc_to_choice'")
          )
        )
      }
      options = .wordings(wordings)
    } else {
      options = .list(try wording(node, "doc_to_choice"))
    }
    return ChoiceRule(options: options, answer: try needed(target, "doc_to_target"))
  }

  // MARK: Generation

  mutating func generation(target: Wording?) throws(ReFTError) -> GenerationRule {
    var rule = GenerationRule(answer: try needed(target, "doc_to_target"))
    rule.stop = [try fewShotSeparator()]
    if let node = reader.node("generation_kwargs") { try drawing(node, into: &rule) }
    if let node = reader.node("filter_list") {
      rule.extractions = []
      for item in node.items { rule.extractions.append(try filter(item)) }
    }
    return rule
  }

  private mutating func fewShotSeparator() throws(ReFTError) -> String {
    try reader.string("fewshot_delimiter") ?? "\n\n"
  }

  private func drawing(
    _ node: ConfigurationNode,
    into rule: inout GenerationRule
  ) throws(ReFTError) {
    var keys = try ConfigurationReader(node, path: "generation_kwargs")
    rule.stop = try keys.strings("until") ?? rule.stop
    let limits = [
      try keys.integer("max_gen_toks", in: 1...1_000_000),
      try keys.integer("max_new_tokens", in: 1...1_000_000),
    ]
    rule.maxTokens = limits.compactMap { $0 }.first ?? 256
    let draws = try keys.flag("do_sample") ?? false
    let temperature = try keys.number("temperature", expected: "a number from 0") { $0 >= 0 }
    rule.sampling.temperature = draws ? temperature ?? 1 : 0
    let topP = try keys.number("top_p", expected: "a number above 0, at most 1") {
      $0 > 0 && $0 <= 1
    }
    let topK = try keys.integer("top_k", in: 0...Int.max)
    if draws {
      rule.sampling.topP = topP ?? 1
      rule.sampling.topK = topK ?? 0
    }
    try keys.finish()
  }

  private func filter(_ node: ConfigurationNode) throws(ReFTError) -> Extraction {
    var keys = try ConfigurationReader(node, path: "filter_list")
    var extraction = Extraction(name: try keys.string("name") ?? "")
    for item in keys.node("filter")?.items ?? [] {
      var step = try ConfigurationReader(item, path: "filter")
      let function = try step.string("function") ?? ""
      switch function {
      case "take_first": break
      case "lowercase": extraction.steps.append(.lowercased)
      case "remove_whitespace": extraction.steps.append(.trimmed)
      case "regex":
        let pattern = try step.required("regex_pattern", purpose: "write the expression") {
          (reader, key) throws(ReFTError) in try reader.pattern(key)
        }
        extraction.steps.append(
          .match(
            pattern,
            place: try step.integer("group_select", in: -1000...1000) ?? 0,
            otherwise: try step.string("fallback") ?? "[invalid]"
          )
        )
      default:
        throw .configuration(
          item.origin,
          "the filter '\(function.shown())' is not known here; regex, take_first, lowercase and "
            + "remove_whitespace are"
        )
      }
      try step.finish()
    }
    try keys.finish()
    return extraction
  }

  // MARK: Metrics

  /// The metrics that each kind of task has here.
  private static let known: [String: [String]] = [
    "multiple_choice": ["acc", "acc_norm", "acc_bytes"],
    "generate_until": ["exact_match"],
    "loglikelihood_rolling": ["word_perplexity", "byte_perplexity", "bits_per_byte"],
  ]

  /// Reads the metrics; what exact_match looks over goes to the scorer.
  ///
  /// - Returns: the first metric, which stands first in results.
  mutating func metrics(
    _ type: String,
    into scorer: inout TaskScorer
  ) throws(ReFTError) -> String? {
    guard let node = reader.node("metric_list") else { return nil }
    var names: [String] = []
    for item in node.items {
      var keys = try ConfigurationReader(item, path: "metric_list")
      let name = try keys.string("metric") ?? ""
      guard let known = Self.known[type], known.contains(name) else {
        throw .configuration(
          item.origin,
          "the metric '\(name.shown())' of \(type) is not known here; "
            + "\((Self.known[type] ?? []).joined(separator: ", ")) are"
        )
      }
      if name == "exact_match", case .generation(var rule) = scorer {
        rule.normaliser = .harness(try match(&keys))
        scorer = .generation(rule)
      }
      for key in ["aggregation", "higher_is_better", "hf_evaluate"] { _ = keys.node(key) }
      try keys.finish()
      names.append(name)
    }
    return names.first
  }

  private func match(_ keys: inout ConfigurationReader) throws(ReFTError) -> HarnessMatch {
    var match = HarnessMatch()
    for item in keys.node("regexes_to_ignore")?.items ?? [] {
      match.ignored.append(try item.pattern(key: "regexes_to_ignore"))
    }
    match.ignoresCase = try keys.flag("ignore_case") ?? false
    match.ignoresPunctuation = try keys.flag("ignore_punctuation") ?? false
    match.ignoresNumbers = try keys.flag("ignore_numbers") ?? false
    return match
  }
}
