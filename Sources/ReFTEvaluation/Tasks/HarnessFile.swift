// SPDX-License-Identifier: Apache-2.0
// Reads the task files of lm-evaluation-harness, as far as they speak of local JSON data and use no
// Python. What would change a result and cannot be done here is an error; what has no part in it here is
// read over.

import Foundation
import ReFTGeneration
import ReFTTensor
import ReFTText
import ReFTTraining

/// A task file of lm-evaluation-harness.
struct HarnessFile {
  /// Keys that change no number of a task that stands for itself.
  private static let readOver = [
    "tag", "group", "metadata", "task_alias", "dataset_name", "test_split", "validation_split",
    "training_split", "fewshot_split", "should_decontaminate", "doc_to_decontamination_query",
    "description", "num_fewshot", "repeats", "unsafe_code", "class",
  ]

  var reader: ConfigurationReader
  let root: ConfigurationNode
  private let path: String
  private let folder: String

  /// Whether a file has the keys of such a task.
  static func isOne(_ root: ConfigurationNode) -> Bool {
    guard case .mapping(let entries) = root.content else { return false }
    let keys = ["dataset_path", "output_type", "doc_to_text", "include"]
    return entries.contains { keys.contains($0.key) }
  }

  /// Opens a file; what it includes is read too.
  init(_ root: ConfigurationNode, path: String) throws(ReFTError) {
    self.path = path
    folder = PathParts.folder(of: path)
    self.root = try Self.included(root, folder: folder, depth: 0)
    reader = try ConfigurationReader(self.root, path: "")
  }

  /// The keys of a file over those of the file that it includes.
  private static func included(
    _ root: ConfigurationNode,
    folder: String,
    depth: Int
  ) throws(ReFTError) -> ConfigurationNode {
    guard case .mapping(let entries) = root.content,
      let include = entries.first(where: { $0.key == "include" })
    else { return root }
    guard depth < 8 else {
      throw .configuration(include.keyOrigin, "files include each other; leave one out")
    }
    let name = try include.value.string(key: "include")
    let other = name.hasPrefix("/") ? name : folder + "/" + name
    let base = try included(
      ConfigurationNode.parse(yaml: ConfigurationText.read(path: other), path: other, as: .task),
      folder: PathParts.folder(of: other),
      depth: depth + 1
    )
    guard case .mapping(let below) = base.content else { return root }
    let own = entries.filter { $0.key != "include" }
    let keys = Set(own.map(\.key))
    var copy = root
    copy.content = .mapping(below.filter { !keys.contains($0.key) } + own)
    return copy
  }

  /// The task.
  ///
  /// - Throws: `badConfiguration` with the line for what cannot be done here.
  consuming func task() throws(ReFTError) -> TaskFile {
    var file = self
    return try file.read()
  }

  private mutating func read() throws(ReFTError) -> TaskFile {
    let name = try reader.string("task")
    let data = try data()
    let type = try reader.string("output_type") ?? "generate_until"
    let prompt = try text("doc_to_text")
    let target = try text("doc_to_target")
    let delimiter = try reader.string("target_delimiter") ?? " "
    var scorer: TaskScorer =
      switch type {
      case "multiple_choice": .choice(try choice(prompt: prompt, target: target))
      case "generate_until": .generation(try generation(target: target))
      case "loglikelihood_rolling":
        .perplexity(PerplexityRule(text: try needed(target ?? prompt, "doc_to_target")))
      default:
        throw .configuration(
          root.origin,
          "'output_type' is '\(type.shown())'; multiple_choice, generate_until and "
            + "loglikelihood_rolling are known here"
        )
      }
    if case .generation(var rule) = scorer {
      rule.normaliser = .harness(HarnessMatch())
      scorer = .generation(rule)
    }
    let metric = try metrics(type, into: &scorer)
    let file = (path as NSString).lastPathComponent as NSString
    var task = TaskFile(
      name: name ?? file.deletingPathExtension,
      prompt: try needed(prompt, "doc_to_text", isNeeded: type != "loglikelihood_rolling"),
      scorer: scorer
    )
    task.data = data
    task.delimiter = delimiter
    task.summary = "a task of lm-evaluation-harness"
    task.preamble = try text("description")
    task.shots = try shots()
    task.metric = metric
    try refuse()
    for key in Self.readOver { _ = reader.node(key) }
    try reader.finish()
    return task
  }

  /// What this program has no form for.
  private mutating func refuse() throws(ReFTError) {
    for key in ["process_docs", "process_results", "custom_dataset", "gen_prefix", "use_prompt"] {
      guard let node = reader.node(key) else { continue }
      throw .configuration(
        node.origin,
        "'\(key)' changes the task, and is not done here; do it to the rows beforehand, and leave "
          + "the key out"
      )
    }
  }

  func needed(
    _ wording: Wording?,
    _ key: String,
    isNeeded: Bool = true
  ) throws(ReFTError) -> Wording {
    if let wording { return wording }
    guard isNeeded else { return .empty }
    throw .missingKey(key, at: root.origin, purpose: "write a template, or a field's name")
  }

  /// A template, or the name of a field.
  private mutating func text(_ key: String) throws(ReFTError) -> Wording? {
    guard let node = reader.node(key) else { return nil }
    return try wording(node, key)
  }

  func wording(_ node: ConfigurationNode, _ key: String) throws(ReFTError) -> Wording {
    let text = try node.string(key: key)
    if !text.isEmpty, text.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "_" }), Int(text) == nil
    {
      return .field(text)
    }
    return .jinja(try TextTemplate(text, origin: "\(node.origin.description): '\(key)'"))
  }

  // MARK: Rows

  private mutating func data() throws(ReFTError) -> TaskData {
    let kind = try reader.string("dataset_path") ?? ""
    guard ["json", "csv", "text"].contains(kind) else {
      throw .configuration(
        root.origin,
        "'dataset_path' is '\(kind.shown())', a data set of the hub; fetch it, and write "
          + "'dataset_path: json' and 'dataset_kwargs: {data_files: FILE}'"
      )
    }
    var data = TaskData()
    data.format = TaskData.Format(rawValue: kind)
    let splits = [try reader.string("test_split"), try reader.string("validation_split")]
    let split = splits.compactMap { $0 }.first
    guard let node = reader.node("dataset_kwargs") else { return data }
    var keys = try ConfigurationReader(node, path: "dataset_kwargs")
    if let files = keys.node("data_files") { data.path = try file(files, split: split) }
    for key in ["trust_remote_code", "streaming"] { _ = keys.node(key) }
    try keys.finish()
    return data
  }

  private func file(_ node: ConfigurationNode, split: String?) throws(ReFTError) -> String {
    var node = node
    if case .mapping(let entries) = node.content, let first = entries.first {
      node = (entries.first { $0.key == split } ?? first).value
    }
    guard case .sequence(let items) = node.content, let first = items.first else {
      let text = try node.string(key: "dataset_kwargs.data_files")
      return text.hasPrefix("/") || folder == "." ? text : folder + "/" + text
    }
    guard items.count == 1 else {
      throw .configuration(node.origin, "\(items.count) files; write them to one")
    }
    return try file(first, split: split)
  }

  private mutating func shots() throws(ReFTError) -> FewShots? {
    let count = try reader.integer("num_fewshot", in: 0...1000) ?? 0
    let separator = try reader.string("fewshot_delimiter") ?? "\n\n"
    var seed: UInt64? = 1234
    if let node = reader.node("fewshot_config") {
      var keys = try ConfigurationReader(node, path: "fewshot_config")
      if try keys.string("sampler") == "first_n" { seed = nil }
      try keys.finish()
    }
    guard count > 0 else { return nil }
    var shots = FewShots(count: count)
    shots.separator = separator
    shots.seed = seed
    return shots
  }
}
