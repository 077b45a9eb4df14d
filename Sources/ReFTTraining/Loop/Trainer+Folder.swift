// SPDX-License-Identifier: Apache-2.0
// The run folder as a run takes it: whether it may, which checkpoint it goes on from, and what makes
// it the same run.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor

extension Trainer {
  /// Takes the run folder, and reads the checkpoint to go on from.
  func claimFolder(
    mode: Mode,
    settings: [String: String],
    adapter: Adapter,
    observer: (TrainingEvent) -> Void
  ) throws -> CheckpointState? {
    try folder.open()
    try folder.checkOwnership(removesAll: mode == .overwrite)
    let last = try checkpoints.steps().last
    switch mode {
    case .overwrite:
      if case .run = folder.claim() { try folder.clear() }
      try beginRun()
      return nil
    case .fresh:
      if case .run(let isFinished, _) = folder.claim() {
        throw isFinished
          ? ReFTError.runFinished(folder.path)
          : ReFTError.runUnfinished(folder.path, step: last ?? 0)
      }
      try beginRun()
      return nil
    case .resume, .resumeWithOtherBuilds:
      guard let last else {
        guard case .run = folder.claim() else {
          observer(.warning("'\(folder.path)' holds no run to go on with; starting anew"))
          try beginRun()
          return nil
        }
        try folder.makeCheckpoints()
        try folder.removeLeftovers()
        return nil
      }
      try folder.removeLeftovers()
      var state = try checkpoints.state(step: last)
      let build = state.settings.filter { $0.key.hasSuffix(Self.hashKey) }
      if build.contains(where: { settings[$0.key] != nil && settings[$0.key] != $0.value }) {
        try checkpoints.checkPlugins(step: last, adapter: adapter)
      }
      if mode == .resumeWithOtherBuilds {
        Self.takeOtherBuilds(&state, settings: settings, observer: observer)
      }
      let differences = Self.differences(then: state.settings, now: settings)
      guard differences.isEmpty else {
        throw ReFTError.otherRun(folder.path, differences: differences)
      }
      if let then = state.kernels, then != kernels {
        observer(
          .warning(
            "the kernels were '\(then)' up to step \(last) and are '\(kernels)' from there "
              + "on: the bits may differ from those of a run that was not interrupted"
          )
        )
      }
      return state
    }
  }

  /// Marks the folder as a run's and makes what it needs.
  private func beginRun() throws(ReFTError) {
    try folder.mark()
    try folder.makeCheckpoints()
    try folder.removeLeftovers()
  }

  /// Lets a run go on with builds of plugins that it did not begin with, and remembers the others.
  private static func takeOtherBuilds(
    _ state: inout CheckpointState,
    settings: [String: String],
    observer: (TrainingEvent) -> Void
  ) {
    for (key, hash) in settings.sorted(by: { $0.key < $1.key }) where key.hasSuffix(hashKey) {
      guard let then = state.settings[key], then != hash else { continue }
      state.settings[key] = hash
      state.earlierBuilds = (state.earlierBuilds ?? []) + [then]
      observer(
        .warning("\(key) was \(then) up to step \(state.step) and is \(hash) from there on")
      )
    }
  }

  /// The state that a run begins with, or that of the checkpoint to go on from; parameters and
  /// moments are then taken from there.
  func startingState(
    from done: CheckpointState?,
    _ adapter: Adapter,
    _ optimiser: AdamW,
    totalSteps: Int
  ) throws -> CheckpointState {
    var state = done ?? CheckpointState()
    state.kernels = kernels
    guard let done else { return state }
    try checkpoints.restoreParameters(step: done.step, into: adapter.parameters)
    try checkpoints.restore(optimiser, adapter.parameters, step: done.step)
    guard done.step <= totalSteps else {
      throw ReFTError.otherRun(
        folder.path,
        differences: ["it has done \(done.step) steps of now \(totalSteps)"]
      )
    }
    return state
  }

  // MARK: What makes it the same run

  /// What decides the result of a run, by key: changing any of it makes another run.
  func settings(data: TrainingData, adapter: Adapter) -> [String: String] {
    var result: [String: String] = [:]
    for (key, value) in configuration.flattened() where !Self.isFree(key) { result[key] = value }
    if case .file = configuration.data.validation { result["data.validation"] = nil }
    result["model fingerprint"] = model.fingerprint
    result["data.train hash"] = data.training.hash
    if let validation = data.validation { result["data.validation hash"] = validation.hash }
    for (name, hash) in judge?.facts ?? [:] { result["train.validate \(name)"] = hash }
    for (index, plugin) in adapter.provenance.enumerated() {
      result["interventions.\(index).\(Self.hashKey)"] = plugin.hash
    }
    return result
  }

  private static let hashKey = "plugin hash"

  /// Whether a key may change while a run is interrupted; files are compared by their hashes.
  private static func isFree(_ key: String) -> Bool {
    key.hasPrefix("plugin_path") || free.contains(key)
  }

  static let free: Set = [
    "model", "output", "data.train", "train.init_adapter", "train.save_every", "train.eval_every",
    "train.keep_checkpoints", "train.result", "train.patience", "train.cache_megabytes",
    "train.micro_batch_tokens", "train.tensorboard",
  ]

  private static func differences(then: [String: String], now: [String: String]) -> [String] {
    Set(then.keys).union(now.keys).sorted().filter { then[$0] != now[$0] }.prefix(4).map {
      "\($0) was \(then[$0] ?? "not set") and is \(now[$0] ?? "not set")"
    }
  }
}
