// SPDX-License-Identifier: Apache-2.0
// From a YAML file and `--set` arguments to a `RunConfiguration`.

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
    var reader = try ConfigurationReader(root, path: "")
    let origin = reader.origin

    let model = try reader.string("model")
    let data = reader.node("data")
    let interventions = reader.node("interventions")
    let lora = reader.node("lora")
    let head = reader.node("head")
    let train = reader.node("train")
    let output = try reader.string("output")
    let plugins = reader.node("plugin_path")?.items
    try reader.finish()

    guard let model else {
      throw .missingKey("model", at: origin, purpose: "name a .gguf file or a model of the library")
    }
    guard let data else {
      throw .missingKey("data", at: origin, purpose: "write data: {train: rows.jsonl}")
    }
    guard interventions != nil || lora != nil || head != nil else {
      throw .missingKey(
        "interventions",
        at: origin,
        purpose: "write at least - {plugin: loreft, layers: all}"
      )
    }
    var configuration = RunConfiguration(
      model: Self.modelPath(model, in: folder),
      data: try DataOptions(ConfigurationReader(data, path: "data"), folder: folder),
      interventions: try interventions.map { node throws(ReFTError) in
        try Self.interventions(node, mayBeEmpty: lora != nil || head != nil)
      } ?? [],
      lora: try lora.map { node throws(ReFTError) in
        try LoRAOptions(ConfigurationReader(node, path: "lora"))
      },
      head: try head.map { node throws(ReFTError) in
        try HeadOptions(ConfigurationReader(node, path: "head"))
      },
      output: absolute(
        output ?? "runs/" + file.deletingPathExtension().lastPathComponent,
        in: folder
      )
    )
    if let train {
      configuration.train = try TrainOptions(
        ConfigurationReader(train, path: "train"),
        folder: folder
      )
    }
    for index in configuration.interventions.indices {
      configuration.interventions[index].options = configuration.interventions[index].options
        .mapValues { inputPath($0, in: folder) }
    }
    for (index, node) in (plugins ?? []).enumerated() {
      let text = try node.string(key: "plugin_path.\(index)")
      configuration.pluginPaths.append(absolute(text, in: folder))
    }
    let isJudged = configuration.data.validation != .none || configuration.train.taskMetric != nil
    if configuration.train.result == .best, !isJudged {
      throw .configuration(
        train?.origin ?? origin,
        "'train.result' is 'best', but there is no 'data.validation' to judge by; add it, or take "
          + "'last'"
      )
    }
    try configuration.checkPreference(at: train?.origin ?? origin)
    try configuration.checkMetric(at: train?.origin ?? origin)
    try configuration.checkTasks(at: train?.origin ?? origin, isJudged: isJudged)
    configuration.path = path
    self = configuration
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

  private static func interventions(
    _ node: ConfigurationNode,
    mayBeEmpty: Bool
  ) throws(ReFTError) -> [InterventionOptions] {
    guard case .sequence(let items) = node.content else {
      throw .wrongType(node, key: "interventions", expected: "a list; start each entry with '- '")
    }
    guard mayBeEmpty || !items.isEmpty else {
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

extension DataOptions {
  fileprivate init(_ reader: consuming ConfigurationReader, folder: URL) throws(ReFTError) {
    var reader = reader
    let train = try reader.string("train")
    guard let train else {
      throw .missingKey("data.train", at: reader.origin, purpose: "name the file with the rows")
    }
    self.init(train: absolute(train, in: folder))
    format = try reader.choice("format")
    if let node = reader.node("validation") {
      if node.numberValue != nil {
        validation = .fraction(
          try node.number(
            key: "data.validation",
            expected: "a file, or a fraction above 0 and below 1"
          ) { $0 > 0 && $0 < 1 }
        )
      } else {
        validation = .file(absolute(try node.string(key: "data.validation"), in: folder))
      }
    }
    if let node = reader.node("template") {
      do {
        template = try Template(node.string(key: "data.template"))
      } catch {
        throw .configuration(node.origin, "'data.template': \(error.message)")
      }
    }
    maxLength = try reader.integer("max_length", in: 2...1_048_576) ?? maxLength
    overlong = try reader.choice("overlong") ?? overlong
    appendsEndOfSequence = try reader.flag("end_of_sequence") ?? appendsEndOfSequence
    limit = try reader.integer("limit", in: 1...1_000_000_000)
    validationLimit = try reader.integer("validation_limit", in: 1...1_000_000_000)
    shuffles = try reader.flag("shuffle") ?? shuffles
    try reader.finish()
  }
}

extension TrainOptions {
  fileprivate init(_ reader: consuming ConfigurationReader, folder: URL) throws(ReFTError) {
    var reader = reader
    self.init()
    preference = try Self.preference(&reader)
    epochs = try reader.integer("epochs", in: 1...1_000_000) ?? epochs
    maxSteps = try reader.integer("max_steps", in: 1...1_000_000_000)
    batchSize = try reader.integer("batch_size", in: 1...65_536) ?? batchSize
    microBatchTokens = try reader.integer("micro_batch_tokens", in: 1...1_048_576)
    learningRate = try reader.learningRate() ?? learningRate
    schedule = try reader.choice("schedule") ?? schedule
    if let node = reader.node("warmup") { warmUp = try Self.warmUp(node) }
    weightDecay =
      try reader.number("weight_decay", expected: "a number of at least 0") { $0 >= 0 }
      ?? weightDecay
    clipNorm =
      try reader.number("clip_norm", expected: "a number of at least 0 (0: no clipping)") {
        $0 >= 0
      } ?? clipNorm
    if let node = reader.node("betas") { betas = try Self.betas(node) }
    epsilon = try reader.number("epsilon", expected: "a number above 0") { $0 > 0 } ?? epsilon
    seed = UInt64(try reader.integer("seed", in: 0...Int.max) ?? Int(seed))
    saveEvery = try reader.integer("save_every", in: 0...1_000_000_000) ?? saveEvery
    evaluateEvery = try reader.integer("eval_every", in: 0...1_000_000_000) ?? evaluateEvery
    keptCheckpoints = try reader.integer("keep_checkpoints", in: 1...1_000_000) ?? keptCheckpoints
    for (index, node) in (reader.node("validate")?.items ?? []).enumerated() {
      validate.append(try TaskCheck(node, key: "train.validate.\(index)", folder: folder))
    }
    if let name = try reader.string("metric"), name.contains(".") {
      taskMetric = name
    } else {
      metric = try reader.choice("metric")
    }
    patience = try reader.integer("patience", in: 1...1_000_000)
    result = try reader.choice("result")
    initialAdapter = try reader.string("init_adapter").map { absolute($0, in: folder) }
    cacheMegabytes = try reader.integer("cache_megabytes", in: 0...1_048_576) ?? cacheMegabytes
    writesEvents = try reader.flag("tensorboard") ?? writesEvents
    try reader.finish()
  }

  private static func preference(
    _ reader: inout ConfigurationReader
  ) throws(ReFTError) -> PreferenceOptions? {
    let objective: Objective = try reader.choice("objective") ?? .likelihood
    guard let kind = PreferenceOptions.Kind(rawValue: objective.rawValue) else {
      for key in ["beta", "margin", "length_normalized"] {
        guard let node = reader.node(key) else { continue }
        throw .configuration(
          node.origin,
          "'train.\(key)' is of an objective for preferences; set 'train.objective' to dpo or margin"
        )
      }
      return nil
    }
    var options = PreferenceOptions(kind)
    let expected = "a number above 0"
    if kind == .dpo {
      options.beta = try reader.number("beta", expected: expected) { $0 > 0 } ?? options.beta
    } else {
      options.margin = try reader.number("margin", expected: expected) { $0 > 0 } ?? options.margin
    }
    options.isLengthNormalized = try reader.flag("length_normalized") ?? false
    return options
  }

  /// The words for what is made small.
  private enum Objective: String, CaseIterable { case likelihood, dpo, margin }

  private static func warmUp(_ node: ConfigurationNode) throws(ReFTError) -> WarmUp {
    let expected = "a number of steps (10) or a fraction of all steps from 0 and below 1 (0.1)"
    if let steps = node.integerValue, (0...1_000_000_000).contains(steps) { return .steps(steps) }
    return .fraction(
      try node.number(key: "train.warmup", expected: expected) { $0 >= 0 && $0 < 1 }
    )
  }

  private static func betas(_ node: ConfigurationNode) throws(ReFTError) -> Betas {
    let expected = "two numbers from 0 and below 1, such as [0.9, 0.999]"
    guard case .sequence(let items) = node.content, items.count == 2 else {
      throw .wrongType(node, key: "train.betas", expected: expected)
    }
    let isValid: (Double) -> Bool = { $0 >= 0 && $0 < 1 }
    return Betas(
      first: try items[0].number(key: "train.betas.0", expected: expected, where: isValid),
      second: try items[1].number(key: "train.betas.1", expected: expected, where: isValid)
    )
  }
}

extension HeadOptions {
  fileprivate init(_ reader: consuming ConfigurationReader) throws(ReFTError) {
    var reader = reader
    self.init()
    task = try reader.choice("task") ?? task
    if let node = reader.node("labels") {
      labels = try Self.labels(node, task)
    } else if task == .regression {
      labels = .value
    }
    pooling = try reader.choice("pooling")
    hidden = try reader.choice("hidden") ?? hidden
    activation = try reader.choice("activation") ?? activation
    dropout =
      try reader.number("dropout", expected: "a number from 0 and below 1") {
        (0..<1).contains($0)
      } ?? dropout
    learningRate = try reader.learningRate()
    try reader.finish()
  }

  /// A list of names, or their number.
  private static func labels(
    _ node: ConfigurationNode,
    _ task: HeadSpec.Task
  ) throws(ReFTError) -> LabelSet {
    let labels: LabelSet
    if case .sequence(let items) = node.content {
      var names: [String] = []
      for (index, item) in items.enumerated() {
        names.append(try item.string(key: "head.labels.\(index)"))
      }
      labels = LabelSet(names: names)
    } else {
      labels = LabelSet(count: try node.integer(key: "head.labels", in: 1...LabelSet.maximumCount))
    }
    if let fault = HeadSpec.fault(of: labels, task) {
      throw .impossibleValue(node, key: "head.labels", expected: fault)
    }
    return labels
  }
}

extension InterventionOptions {
  fileprivate init(_ reader: consuming ConfigurationReader) throws(ReFTError) {
    var reader = reader
    guard let plugin = try reader.string("plugin") else {
      throw .missingKey(
        reader.name("plugin"),
        at: reader.origin,
        purpose: "name one of `reft plugin list`"
      )
    }
    self.init(plugin: plugin)
    place = reader.origin.description
    if let node = reader.node("layers") {
      layers = try node.layers(key: reader.name("layers"))
    }
    component = try reader.choice("component") ?? component
    if let node = reader.node("positions") {
      positions = try Self.positions(node, key: reader.name("positions"))
    }
    if let node = reader.node("share_weights") {
      sharing = try Self.sharing(node, key: reader.name("share_weights"))
    }
    if let node = reader.node("heads") {
      heads = try Self.heads(node, key: reader.name("heads"))
    }
    if let node = reader.node("tie") { tie = try Self.tie(node, key: reader.name("tie")) }
    if let node = reader.node("isolation") {
      let text = try node.string(key: reader.name("isolation"))
      guard let value = Isolation(rawValue: text) else {
        throw .unknownChoice(node, key: reader.name("isolation"), valid: ["none", "process"])
      }
      isolation = value
    }
    learningRate = try reader.learningRate()
    auxiliaryWeight =
      try reader.number("auxiliary_weight", expected: "a number of at least 0") { $0 >= 0 }
    if let node = reader.node("options") {
      let path = reader.name("options")
      for entry in try ConfigurationReader(node, path: path).keys {
        options[entry.key] = try Self.option(entry.value, key: "\(path).\(entry.key)")
      }
    }
    try reader.finish()
  }

  private static func sharing(
    _ node: ConfigurationNode,
    key: String
  ) throws(ReFTError) -> WeightSharing {
    guard case .scalar(let text, _) = node.content, let value = WeightSharing(word: text) else {
      throw .wrongType(
        node,
        key: key,
        expected: "true (one set for all positions), false (one for each end) or none (one each)"
      )
    }
    return value
  }

  private static func heads(_ node: ConfigurationNode, key: String) throws(ReFTError) -> [Int] {
    guard case .sequence(let items) = node.content, !items.isEmpty else {
      throw .wrongType(node, key: key, expected: "head numbers from 0 such as [0, 3]")
    }
    var heads: [Int] = []
    for (index, item) in items.enumerated() {
      let head = try item.integer(key: "\(key).\(index)", in: 0...65_535)
      guard !heads.contains(head) else {
        throw .configuration(item.origin, "'\(key)' names head \(head) twice; name it once")
      }
      heads.append(head)
    }
    return heads.sorted()
  }

  private static func tie(
    _ node: ConfigurationNode,
    key: String
  ) throws(ReFTError) -> Set<TieAxis> {
    var nodes = [node]
    if case .sequence(let items) = node.content { nodes = items }
    var axes: Set<TieAxis> = []
    for node in nodes {
      let text = try node.string(key: key)
      guard let axis = TieAxis(rawValue: text) else {
        throw .unknownChoice(node, key: key, valid: TieAxis.allCases.map(\.rawValue))
      }
      axes.insert(axis)
    }
    return axes
  }

  private static func positions(
    _ node: ConfigurationNode,
    key: String
  ) throws(ReFTError) -> PositionRule {
    var text = ""
    if case .sequence(let items) = node.content, items.count == 1,
      case .scalar(let range, _) = items[0].content, range.contains(":")
    {
      text = "[\(range)]"
    } else if case .sequence(let items) = node.content {
      var indices: [String] = []
      for (index, item) in items.enumerated() {
        indices.append(
          String(try item.integer(key: "\(key).\(index)", in: -(1 << 31)...(1 << 31)))
        )
      }
      text = "[" + indices.joined(separator: ",") + "]"
    } else {
      text = try node.string(key: key)
    }
    do {
      return try PositionRule(text)
    } catch {
      throw .configuration(node.origin, "'\(key)': \(error.message)")
    }
  }

  private static func option(
    _ node: ConfigurationNode,
    key: String
  ) throws(ReFTError) -> OptionValue {
    if let value = node.integerValue { return .int(Int64(value)) }
    if let value = node.numberValue { return .float(value) }
    if case .scalar(let text, quoted: false) = node.content, text == "true" || text == "false" {
      return .flag(text == "true")
    }
    return .string(try node.string(key: key))
  }
}

extension ConfigurationReader {
  /// The peak of a learning rate, of the whole run or of one part of the parameters.
  fileprivate mutating func learningRate() throws(ReFTError) -> Double? {
    try number("learning_rate", expected: "a number from 0 to 100") { (0...100).contains($0) }
  }
}
