// SPDX-License-Identifier: Apache-2.0
// Reads a task file. The scorers' keys are in TaskScorer+Reading; a file with the keys of
// lm-evaluation-harness goes to HarnessFile.

import Foundation
public import ReFTTensor
import ReFTText
import ReFTTraining

extension TaskFile {
  /// Reads a task by what the user calls it: a file, or a task that comes along.
  ///
  /// - Parameter word: a path that ends in .yaml or .yml, or a name.
  /// - Throws: `usage` for a name that there is no task of, `inputMissing` without the file, and
  ///   `badConfiguration` with its line for anything wrong in it.
  public init(_ word: String) throws(ReFTError) {
    guard word.hasSuffix(".yaml") || word.hasSuffix(".yml") else {
      self = try TaskLibrary.task(named: word)
      return
    }
    self = try Self.parse(yaml: try ConfigurationText.read(path: word), path: word)
  }

  /// Reads a task from text, as if it stood in the file at `path`.
  package static func parse(yaml: String, path: String) throws(ReFTError) -> TaskFile {
    let root = try ConfigurationNode.parse(yaml: yaml, path: path, as: .task)
    var task =
      HarnessFile.isOne(root)
      ? try HarnessFile(root, path: path).task() : try read(root, path: path)
    task.source = yaml
    return task
  }

  private static func read(
    _ root: ConfigurationNode,
    path: String
  ) throws(ReFTError) -> TaskFile {
    var reader = try ConfigurationReader(root, path: "")
    let file = (path as NSString).lastPathComponent as NSString
    let name = try reader.string("task") ?? file.deletingPathExtension
    let keys = TaskKeys(folder: PathParts.folder(of: path))
    let scorer = try keys.scorer(&reader)
    let promptKey = try reader.wording("prompt")
    var task = TaskFile(
      name: name,
      prompt: promptKey ?? .empty,
      scorer: scorer
    )
    if promptKey == nil, scorer.needsPrompt {
      throw .missingKey(
        "prompt",
        at: root.origin,
        purpose: "write what the model reads, such as \"Question: {question}\\nAnswer:\""
      )
    }
    task.summary = try reader.string("description") ?? ""
    task.origin = try reader.string("get") ?? ""
    task.licence = try reader.string("licence") ?? ""
    task.preamble = try reader.wording("preamble")
    task.template = try reader.string("template").map { text throws(ReFTError) in
      text == "adapter" ? .adapters : .chosen(try Template(text))
    }
    task.delimiter = try reader.string("delimiter") ?? " "
    task.metric = try reader.string("metric")
    if let node = reader.node("data") { task.data = try keys.data(node) }
    if let node = reader.node("few_shot") { task.shots = try keys.shots(node) }
    if let node = reader.node("chance") {
      guard scorer.takesChance else {
        throw .configuration(
          node.origin,
          "'chance' is of choice and generate, and the task asks for \(scorer.kind); leave it out"
        )
      }
      task.chance = try keys.chance(node)
    }
    try reader.finish()
    return task
  }
}

extension ConfigurationReader {
  /// A format string.
  mutating func wording(_ key: String) throws(ReFTError) -> Wording? {
    guard let node = node(key) else { return nil }
    return try node.wording(key: name(key))
  }

  /// A regular expression.
  mutating func pattern(_ key: String) throws(ReFTError) -> RegularExpression? {
    guard let node = node(key) else { return nil }
    return try node.pattern(key: name(key))
  }

  /// A list of texts; one alone counts as a list.
  mutating func strings(_ key: String) throws(ReFTError) -> [String]? {
    guard let node = node(key) else { return nil }
    var texts: [String] = []
    for item in node.items { texts.append(try item.string(key: name(key))) }
    return texts
  }

  /// A key that must be there.
  mutating func required<Value>(
    _ key: String,
    purpose: String,
    _ read: (inout ConfigurationReader, String) throws(ReFTError) -> Value?
  ) throws(ReFTError) -> Value {
    guard let value = try read(&self, key) else {
      throw .missingKey(name(key), at: origin, purpose: purpose)
    }
    return value
  }
}

extension ConfigurationNode {
  /// The value as a format string.
  func wording(key: String) throws(ReFTError) -> Wording {
    let text = try string(key: key)
    do throws(ReFTError) {
      return .format(try FieldFormat(text))
    } catch {
      throw .configuration(origin, "'\(key)': \(error.message)")
    }
  }

  /// The value as a regular expression.
  func pattern(key: String) throws(ReFTError) -> RegularExpression {
    let text = try string(key: key)
    do throws(ReFTError) {
      return try RegularExpression(text)
    } catch {
      throw .configuration(origin, "'\(key)': \(error.message)")
    }
  }
}

extension TaskScorer {
  /// Whether a prompt belongs to it.
  fileprivate var needsPrompt: Bool {
    switch self {
    case .choice, .generation: true
    case .head, .perplexity: false
    }
  }

  /// Whether a task may say what guessing comes to.
  fileprivate var takesChance: Bool {
    switch self {
    case .choice: true
    case .generation(let rule): rule.outputs == nil
    case .head, .perplexity: false
    }
  }
}
