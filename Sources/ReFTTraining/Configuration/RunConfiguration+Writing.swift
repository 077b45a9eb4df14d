// SPDX-License-Identifier: Apache-2.0
// The resolved configuration as YAML for the run folder, and as keys and values for comparison.

import Foundation
import ReFTHost
import ReFTModel
import ReFTText

extension RunConfiguration {
  /// The configuration with all defaults written out; reading it gives an equal configuration.
  public func yaml() -> String { SettingTree.mapping(settings).yaml() }

  /// Every value by its full key, such as `train.betas.0`, as text.
  public func flattened() -> [(key: String, value: String)] {
    SettingTree.mapping(settings).flattened(at: "")
  }

  private var settings: [(String, SettingTree)] {
    var top: [(String, SettingTree)] = [
      ("model", .text(model)), ("data", .mapping(data.settings)),
      ("interventions", .list(interventions.map { .mapping($0.settings) })),
    ]
    if let lora { top.append(("lora", .mapping(lora.settings))) }
    if let head { top.append(("head", .mapping(head.settings))) }
    top += [
      ("train", .mapping(train.settings)), ("output", .text(output)),
    ]
    if !pluginPaths.isEmpty { top.append(("plugin_path", .list(pluginPaths.map { .text($0) }))) }
    return top
  }
}

extension DataOptions {
  fileprivate var settings: [(String, SettingTree)] {
    var result: [(String, SettingTree)] = [("train", .text(train))]
    if let format { result.append(("format", .plain(format.rawValue))) }
    switch validation {
    case .none: break
    case .file(let path): result.append(("validation", .text(path)))
    case .fraction(let value): result.append(("validation", .plain("\(value)")))
    }
    if let template { result.append(("template", .text(template.description))) }
    result += [
      ("max_length", .plain("\(maxLength)")),
      ("overlong", .plain(overlong.rawValue)),
      ("end_of_sequence", .plain("\(appendsEndOfSequence)")),
    ]
    if let limit { result.append(("limit", .plain("\(limit)"))) }
    if let validationLimit { result.append(("validation_limit", .plain("\(validationLimit)"))) }
    return result + [("shuffle", .plain("\(shuffles)"))]
  }
}

extension LoRAOptions {
  fileprivate var settings: [(String, SettingTree)] {
    var result: [(String, SettingTree)] = [
      ("rank", .plain("\(rank)")), ("alpha", .plain("\(alpha)")),
      ("dropout", .plain("\(dropout)")), ("targets", .list(targets.map { .plain($0.rawValue) })),
      ("layers", layers.map { .list($0.map { .plain("\($0)") }) } ?? .plain("all")),
      ("rank_stabilized", .plain("\(isRankStabilized)")),
    ]
    if let learningRate { result.append(("learning_rate", .plain("\(learningRate)"))) }
    return result
  }
}

extension HeadOptions {
  fileprivate var settings: [(String, SettingTree)] {
    var result: [(String, SettingTree)] = [("task", .plain(task.rawValue))]
    if let labels, task != .regression {
      let names = labels.names.map { SettingTree.list($0.map { .text($0) }) }
      result.append(("labels", names ?? .plain("\(labels.count)")))
    }
    if let pooling { result.append(("pooling", .plain(pooling.rawValue))) }
    result += [
      ("hidden", .plain(hidden.rawValue)), ("activation", .plain(activation.rawValue)),
      ("dropout", .plain("\(dropout)")),
    ]
    if let learningRate { result.append(("learning_rate", .plain("\(learningRate)"))) }
    return result
  }
}

extension InterventionOptions {
  fileprivate var settings: [(String, SettingTree)] {
    var result: [(String, SettingTree)] = [
      ("plugin", .text(plugin)),
      ("layers", layers.map { .list($0.map { .plain("\($0)") }) } ?? .plain("all")),
      ("component", .plain(component.rawValue)), ("positions", .text(positions.description)),
      ("share_weights", .plain(sharing.word)),
    ]
    if let heads { result.append(("heads", .list(heads.map { .plain("\($0)") }))) }
    if !tie.isEmpty {
      result.append(("tie", .list(tie.map(\.rawValue).sorted().map { .plain($0) })))
    }
    if let isolation { result.append(("isolation", .plain(isolation.rawValue))) }
    if let learningRate { result.append(("learning_rate", .plain("\(learningRate)"))) }
    if let auxiliaryWeight {
      result.append(("auxiliary_weight", .plain("\(auxiliaryWeight)")))
    }
    let pairs = options.sorted { $0.key < $1.key }.map { key, value -> (String, SettingTree) in
      if case .string(let text) = value { return (key, .text(text)) }
      return (key, .plain(value.description))
    }
    if !pairs.isEmpty { result.append(("options", .mapping(pairs))) }
    return result
  }
}

extension TrainOptions {
  fileprivate var settings: [(String, SettingTree)] {
    var result: [(String, SettingTree)] = preference.map(Self.settings) ?? []
    result.append(("epochs", .plain("\(epochs)")))
    if let maxSteps { result.append(("max_steps", .plain("\(maxSteps)"))) }
    let rise =
      switch warmUp {
      case .steps(let steps): "\(steps)"
      case .fraction(let fraction): "\(fraction)"
      }
    result.append(("batch_size", .plain("\(batchSize)")))
    if let microBatchTokens { result.append(("micro_batch_tokens", .plain("\(microBatchTokens)"))) }
    result += [
      ("learning_rate", .plain("\(learningRate)")), ("schedule", .plain(schedule.rawValue)),
      ("warmup", .plain(rise)), ("weight_decay", .plain("\(weightDecay)")),
      ("clip_norm", .plain("\(clipNorm)")),
      ("betas", .list([.plain("\(betas.first)"), .plain("\(betas.second)")])),
      ("epsilon", .plain("\(epsilon)")), ("seed", .plain("\(seed)")),
      ("save_every", .plain("\(saveEvery)")), ("eval_every", .plain("\(evaluateEvery)")),
      ("keep_checkpoints", .plain("\(keptCheckpoints)")),
    ]
    if !validate.isEmpty { result.append(("validate", .list(validate.map(\.tree)))) }
    if let metric { result.append(("metric", .plain(metric.rawValue))) }
    if let taskMetric { result.append(("metric", .text(taskMetric))) }
    if let patience { result.append(("patience", .plain("\(patience)"))) }
    if let kept = self.result { result.append(("result", .plain(kept.rawValue))) }
    if let initialAdapter { result.append(("init_adapter", .text(initialAdapter))) }
    return result + [
      ("cache_megabytes", .plain("\(cacheMegabytes)")), ("tensorboard", .plain("\(writesEvents)")),
    ]
  }
}

extension TrainOptions {
  fileprivate static func settings(_ options: PreferenceOptions) -> [(String, SettingTree)] {
    let number: (String, SettingTree) =
      options.kind == .dpo
      ? ("beta", .plain("\(options.beta)")) : ("margin", .plain("\(options.margin)"))
    return [
      ("objective", .plain(options.kind.rawValue)), number,
      ("length_normalized", .plain("\(options.isLengthNormalized)")),
    ]
  }
}

extension TaskCheck {
  fileprivate var tree: SettingTree {
    var result: [(String, SettingTree)] = [("task", .text(task))]
    if let data { result.append(("data", .text(data))) }
    if let limit { result.append(("limit", .plain("\(limit)"))) }
    if let shots { result.append(("shots", .plain("\(shots)"))) }
    if let template { result.append(("template", .text(template))) }
    return .mapping(result)
  }
}

/// Keys and values in a fixed order, ready to be written.
private indirect enum SettingTree {
  case mapping([(String, SettingTree)])
  case list([SettingTree])
  case plain(String)
  case text(String)

  func yaml() -> String { lines().joined(separator: "\n") + "\n" }

  private func lines() -> [String] {
    switch self {
    case .plain(let text): [text]
    case .text(let text): [Self.quoted(text)]
    case .list(let items):
      items.flatMap { item in
        item.lines().enumerated().map { ($0 == 0 ? "- " : "  ") + $1 }
      }
    case .mapping(let pairs):
      pairs.flatMap { key, value -> [String] in
        switch value {
        case .plain, .text: ["\(Self.key(key)): \(value.lines()[0])"]
        case .list(let items) where items.isEmpty: ["\(Self.key(key)): []"]
        case .list, .mapping: ["\(Self.key(key)):"] + value.lines().map { "  " + $0 }
        }
      }
    }
  }

  func flattened(at path: String) -> [(key: String, value: String)] {
    let prefix = path.isEmpty ? "" : path + "."
    return switch self {
    case .plain(let text), .text(let text): [(path, text)]
    case .list(let items):
      items.enumerated().flatMap { $1.flattened(at: prefix + String($0)) }
    case .mapping(let pairs): pairs.flatMap { $1.flattened(at: prefix + $0) }
    }
  }

  private static func key(_ text: String) -> String {
    text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") } && !text.isEmpty
      ? text : quoted(text)
  }

  /// A double-quoted YAML scalar; its escapes are those of JSON.
  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      case "\r": result += "\\r"
      case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
        result += "\\x" + String(format: "%02X", scalar.value)
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
