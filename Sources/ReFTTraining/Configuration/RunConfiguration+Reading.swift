// SPDX-License-Identifier: Apache-2.0
// From a YAML file and `--set` arguments to a `RunConfiguration`; each part is read in a file of
// its own.

import Foundation
import ReFTHost
import ReFTModel
public import ReFTTensor
import ReFTText

extension RunConfiguration {
  /// Reads a configuration file.
  ///
  /// Paths in the file are relative to its folder. A model that is no file there is left as it is
  /// written, for the model library to find.
  ///
  /// - Parameters:
  ///   - path: the YAML file.
  ///   - overrides: texts such as `train.learning_rate=1e-3`, applied in their order.
  /// - Returns: the configuration, with defaults and absolute paths.
  /// - Throws: `inputMissing` when there is no such file; `badConfiguration` with file, line and
  ///   column for anything in it that is unknown, of the wrong type or impossible.
  public static func load(
    path: String,
    overrides: [String] = []
  ) throws(ReFTError) -> RunConfiguration {
    try parse(yaml: ConfigurationText.read(path: path), path: path, overrides: overrides)
  }

  /// Reads a configuration from text, as if it stood in the file at `path`.
  package static func parse(
    yaml: String,
    path: String,
    overrides: [String] = []
  ) throws(ReFTError) -> RunConfiguration {
    var root = try ConfigurationNode.parse(yaml: yaml, path: path)
    _ = try root.apply(overrides: overrides)
    return try RunConfiguration(root, path: path)
  }

  /// Reads a configuration from its tree, as if that stood in the file at `path`.
  init(_ root: ConfigurationNode, path: String) throws(ReFTError) {
    let file = URL(fileURLWithPath: path).standardizedFileURL
    let folder = file.deletingLastPathComponent()
    let parts = try Parts(root)
    var configuration = RunConfiguration(
      model: Self.modelPath(parts.model, in: folder),
      data: try DataOptions(ConfigurationReader(parts.data, path: "data"), folder: folder),
      interventions: try Self.interventions(parts),
      lora: try parts.lora.map { node throws(ReFTError) in
        try LoRAOptions(ConfigurationReader(node, path: "lora"))
      },
      head: try parts.head.map { node throws(ReFTError) in
        try HeadOptions(ConfigurationReader(node, path: "head"))
      },
      output: absolute(
        parts.output ?? "runs/" + file.deletingPathExtension().lastPathComponent,
        in: folder
      )
    )
    if let train = parts.train {
      let reader = try ConfigurationReader(train, path: "train")
      configuration.train = try TrainOptions(reader, folder: folder)
    }
    try configuration.resolvePaths(plugins: parts.plugins, in: folder)
    try configuration.check(at: parts.train?.origin ?? parts.origin)
    configuration.path = path
    self = configuration
  }

  /// What stands at the top of a file, each part still as it is written.
  private struct Parts {
    let origin: ConfigurationNode.Origin
    let model: String
    let data: ConfigurationNode
    let interventions, lora, head, train: ConfigurationNode?
    let output: String?
    let plugins: [ConfigurationNode]

    /// Takes a file apart, and makes sure of what each must have.
    init(_ root: ConfigurationNode) throws(ReFTError) {
      var reader = try ConfigurationReader(root, path: "")
      origin = reader.origin
      let model = try reader.string("model")
      let data = reader.node("data")
      interventions = reader.node("interventions")
      lora = reader.node("lora")
      head = reader.node("head")
      train = reader.node("train")
      output = try reader.string("output")
      plugins = reader.node("plugin_path")?.items ?? []
      try reader.finish()

      guard let model else {
        let purpose = "name a .gguf file or a model of the library"
        throw .missingKey("model", at: origin, purpose: purpose)
      }
      guard let data else {
        throw .missingKey("data", at: origin, purpose: "write data: {train: rows.jsonl}")
      }
      guard interventions != nil || lora != nil || head != nil else {
        let purpose = "write at least - {plugin: loreft, layers: all}"
        throw .missingKey("interventions", at: origin, purpose: purpose)
      }
      (self.model, self.data) = (model, data)
    }
  }

  /// Makes paths that options of plugins name, and those of plugins, absolute.
  private mutating func resolvePaths(
    plugins: [ConfigurationNode],
    in folder: URL
  ) throws(ReFTError) {
    for index in interventions.indices {
      interventions[index].options = interventions[index].options
        .mapValues { inputPath($0, in: folder) }
    }
    for (index, node) in plugins.enumerated() {
      let text = try node.string(key: "plugin_path.\(index)")
      pluginPaths.append(absolute(text, in: folder))
    }
  }

  // MARK: Checks

  /// Makes sure that the parts go together.
  private func check(at origin: ConfigurationNode.Origin) throws(ReFTError) {
    let isJudged = data.validation != .none || train.taskMetric != nil
    if train.result == .best, !isJudged {
      throw .configuration(
        origin,
        "'train.result' is 'best', but there is no 'data.validation' to judge by; add it, or take "
          + "'last'"
      )
    }
    try checkPreference(at: origin)
    try checkMetric(at: origin)
    try checkTasks(at: origin, isJudged: isJudged)
  }

  /// Makes sure that what is learnt from preferences is tokens.
  private func checkPreference(at origin: ConfigurationNode.Origin) throws(ReFTError) {
    guard let kind = train.preference?.kind, head != nil else { return }
    throw .configuration(
      origin,
      "'train.objective' is '\(kind.rawValue)', which compares texts, and there is a 'head'; leave one out"
    )
  }

  /// Makes sure that there is something to be patient about, and tasks to judge by.
  private func checkTasks(
    at origin: ConfigurationNode.Origin,
    isJudged: Bool
  ) throws(ReFTError) {
    if let metric = train.taskMetric, train.validate.isEmpty {
      throw .configuration(
        origin,
        "'train.metric' is '\(metric.shown())', a measure of a task, but there is no 'train.validate'; "
          + "name the task there"
      )
    }
    if train.patience != nil, !isJudged {
      throw .configuration(
        origin,
        "'train.patience' counts validations, but there is nothing to judge them by; add "
          + "'data.validation', or 'train.validate' with 'train.metric: TASK.METRIC'"
      )
    }
  }

  /// Makes sure that the measure is one of the task's.
  private func checkMetric(at origin: ConfigurationNode.Origin) throws(ReFTError) {
    guard let metric = train.metric, metric != .loss else { return }
    let ofTokens = train.preference == nil ? [] : Metric.ofPreferences
    let known = head.map { Metric.metrics(of: $0.task) } ?? ofTokens
    guard !known.contains(metric) else { return }
    let valid = ([.loss] + known).map(\.rawValue).joined(separator: ", ")
    throw .configuration(
      origin,
      "'train.metric' is '\(metric.rawValue)', which "
        + (head.map { "a head for \($0.task.rawValue) does not have" }
          ?? (known.isEmpty ? "needs a 'head'" : "preferences do not have"))
        + "; expected \(valid)"
    )
  }

  // MARK: Parts

  private static func interventions(_ parts: Parts) throws(ReFTError) -> [InterventionOptions] {
    guard let node = parts.interventions else { return [] }
    guard case .sequence(let items) = node.content else {
      throw .wrongType(node, key: "interventions", expected: "a list; start each entry with '- '")
    }
    guard !items.isEmpty || parts.lora != nil || parts.head != nil else {
      throw .impossibleValue(node, key: "interventions", expected: "at least one entry")
    }
    var result: [InterventionOptions] = []
    for (index, item) in items.enumerated() {
      result.append(
        try InterventionOptions(ConfigurationReader(item, path: "interventions.\(index)"))
      )
    }
    return result
  }

  private static func modelPath(_ text: String, in folder: URL) -> String {
    let candidate = absolute(text, in: folder)
    return FileManager.default.fileExists(atPath: candidate) ? candidate : text
  }
}

/// An option that names a file of the configuration's folder, or a tensor of one (`FILE#TENSOR`), with
/// the whole path; which options are of that kind only their plugin knows, so others stay as they are.
private func inputPath(_ option: OptionValue, in folder: URL) -> OptionValue {
  guard case .string(let text) = option, text.contains("."), !text.hasPrefix("#") else {
    return option
  }
  let file = String(text[..<(text.lastIndex(of: "#") ?? text.endIndex)])
  let path = absolute(file, in: folder)
  guard FileManager.default.fileExists(atPath: path) else { return option }
  return .string(path + text.dropFirst(file.count))
}

/// A path of a configuration as an absolute one; `~` is the home folder.
func absolute(_ text: String, in folder: URL) -> String {
  let expanded = (text as NSString).expandingTildeInPath
  return expanded.hasPrefix("/")
    ? URL(fileURLWithPath: expanded).standardizedFileURL.path
    : folder.appendingPathComponent(expanded).standardizedFileURL.path
}
