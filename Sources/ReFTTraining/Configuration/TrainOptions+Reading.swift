// SPDX-License-Identifier: Apache-2.0
// The `train` part of a configuration, read.

import Foundation
import ReFTTensor

extension TrainOptions {
  /// Reads the `train` part; paths are relative to `folder`.
  ///
  /// - Throws: `badConfiguration` with the place, for what is unknown or impossible.
  init(_ reader: consuming ConfigurationReader, folder: URL) throws(ReFTError) {
    var reader = reader
    self.init()
    preference = try Self.preference(&reader)
    epochs = try reader.integer("epochs", in: 1...1_000_000) ?? epochs
    maxSteps = try reader.integer("max_steps", in: 1...1_000_000_000)
    batchSize = try reader.integer("batch_size", in: 1...65_536) ?? batchSize
    microBatchTokens = try reader.integer("micro_batch_tokens", in: 1...1_048_576)
    try readOptimiser(&reader)
    seed = UInt64(try reader.integer("seed", in: 0...Int.max) ?? Int(seed))
    saveEvery = try reader.integer("save_every", in: 0...1_000_000_000) ?? saveEvery
    evaluateEvery = try reader.integer("eval_every", in: 0...1_000_000_000) ?? evaluateEvery
    keptCheckpoints = try reader.integer("keep_checkpoints", in: 1...1_000_000) ?? keptCheckpoints
    try readJudges(&reader, folder)
    initialAdapter = try reader.string("init_adapter").map { absolute($0, in: folder) }
    cacheMegabytes = try reader.integer("cache_megabytes", in: 0...1_048_576) ?? cacheMegabytes
    writesEvents = try reader.flag("tensorboard") ?? writesEvents
    try reader.finish()
  }

  /// Reads how parameters are changed.
  private mutating func readOptimiser(_ reader: inout ConfigurationReader) throws(ReFTError) {
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
  }

  /// Reads what the run is judged by.
  private mutating func readJudges(
    _ reader: inout ConfigurationReader,
    _ folder: URL
  ) throws(ReFTError) {
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
