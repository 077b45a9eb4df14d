// SPDX-License-Identifier: Apache-2.0
// Checkpoints: all that a run needs to go on bit for bit, written so that a kill at any moment leaves
// either the old ones or the old ones and a whole new one.

import Foundation
import ReFTHost
import ReFTTensor

/// The part of a checkpoint that is no tensor.
struct CheckpointState: Codable, Equatable {
  static let currentVersion = 1

  struct Best: Codable, Equatable {
    var step: Int
    /// The validation loss; nil where there are no rows for one.
    var loss: Double?
    /// The measure that the run is judged by; nil where it is the loss, or is not defined there.
    var measure: Double?
  }

  /// The version of this format.
  var version = currentVersion
  /// Optimiser steps done; order, rate and random numbers are functions of it.
  var step = 0
  /// Sums over the running epoch, for its mean loss.
  var epochLossSum = 0.0
  var epochLabels = 0
  /// Tokens and wall time of all steps.
  var tokens = 0
  var seconds = 0.0
  /// The best validation so far.
  var best: Best?
  /// How many validations there were since; nil in checkpoints of earlier versions.
  var validationsSinceBest: Int?
  /// What must not change when the run goes on, by key.
  var settings: [String: String] = [:]
  /// Hashes of builds of plugins that computed steps before this program's do.
  var earlierBuilds: [String]?
  /// The kernels that computed the step; others may round differently.
  var kernels: String?
}

extension CheckpointState {
  /// The largest count, and the largest number of seconds, that a run can have come to: sums with
  /// what is still to come stay exact.
  private static let largest = 1 << 53

  /// The first number that no run writes, in words; nil when all can be.
  fileprivate var fault: String? {
    let counts = [("epochLabels", epochLabels), ("tokens", tokens), ("best.step", best?.step ?? 0)]
    for (key, value) in counts where !(0...Self.largest).contains(value) {
      return "its state.json says '\(key)' is \(value), expected 0 to \(Self.largest)"
    }
    if !(seconds >= 0 && seconds <= 1e12) {
      return "its state.json says 'seconds' is \(seconds), expected 0 to 1e12"
    }
    for (key, value) in [("epochLossSum", epochLossSum), ("best.loss", best.flatMap(\.loss) ?? 0)]
    where !(value.magnitude <= 1e18) {
      return "its state.json says '\(key)' is \(value), expected a number up to 1e18"
    }
    if let best, best.step > step {
      return "its state.json says the best step is \(best.step), after the last one, \(step)"
    }
    return nil
  }
}

/// The checkpoints of a run folder.
struct CheckpointStore {
  let folder: RunFolder

  /// The path of the checkpoint after a step.
  func path(step: Int) -> String { "\(folder.checkpoints)/step-\(Self.digits(step))" }

  private static func digits(_ step: Int) -> String {
    let text = String(step)
    return String(repeating: "0", count: max(0, 8 - text.count)) + text
  }

  /// The steps that have a checkpoint, ascending.
  func steps() throws(ReFTError) -> [Int] {
    try folder.names(in: folder.checkpoints).compactMap(RunFolder.step).sorted()
  }

  /// Whether the checkpoint after a step is there.
  func exists(step: Int) -> Bool { RunFolder.Kind(path(step: step)) == .folder }

  /// Writes a checkpoint.
  func save(_ state: CheckpointState, adapter: Adapter, optimiser: AdamW) throws {
    let target = path(step: state.step)
    let temporary = "\(folder.checkpoints)/.step-\(state.step).tmp-\(getpid())"
    try folder.remove(temporary)
    do {
      try FileManager.default.createDirectory(
        atPath: temporary,
        withIntermediateDirectories: false
      )
    } catch {
      throw ReFTError(
        .inputOutput,
        "cannot make '\(temporary)'; check the disk and permissions",
        cause: error
      )
    }
    try adapter.save(to: temporary + "/adapter")
    try Safetensors.write(
      Self.moments(optimiser, adapter.parameters),
      metadata: ["steps": "\(optimiser.stepCount)"],
      to: temporary + "/optimizer.safetensors"
    )
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try AtomicFile.write(try encoder.encode(state), to: temporary + "/state.json")
    try AtomicFile.synchronize(folder: temporary)
    if exists(step: state.step) {
      if let stranger = try folder.stranger(inCheckpoint: target) {
        throw ReFTError.runFolderTaken(folder.path, by: stranger)
      }
      try discard(step: state.step)
    }
    guard rename(temporary, target) == 0 else { throw ReFTError.cannotWrite(target, errno: errno) }
    try AtomicFile.synchronize(folder: folder.checkpoints)
  }

  /// Reads the state of a checkpoint.
  func state(step: Int) throws(ReFTError) -> CheckpointState {
    let path = path(step: step)
    let state: CheckpointState
    do throws(ReFTError) {
      state = try JSONFile.decode(path: path + "/state.json")
    } catch {
      throw .brokenCheckpoint(path, error.message, cause: error)
    }
    guard state.version == CheckpointState.currentVersion, state.step == step else {
      throw .brokenCheckpoint(
        path,
        "it is of version \(state.version) and step \(state.step), expected version "
          + "\(CheckpointState.currentVersion) and step \(step)"
      )
    }
    if let fault = state.fault { throw .brokenCheckpoint(path, fault) }
    return state
  }

  /// Puts the parameters of a checkpoint into a store, bit for bit.
  func restoreParameters(step: Int, into store: ParameterStore) throws(ReFTError) {
    let file = try Safetensors.read(path: path(step: step) + "/adapter/adapter_model.safetensors")
    for (index, info) in store.infos.enumerated() {
      try fill(store.tensor(index), from: file, info.name, step: step)
    }
  }

  /// Puts the moments of a checkpoint into an optimiser, bit for bit.
  func restore(_ optimiser: AdamW, _ store: ParameterStore, step: Int) throws(ReFTError) {
    let file = try Safetensors.read(path: path(step: step) + "/optimizer.safetensors")
    guard let count = file.metadata["steps"].flatMap(Int.init), count == step else {
      throw .brokenCheckpoint(path(step: step), "its optimiser is of another step")
    }
    for (index, info) in store.infos.enumerated() {
      try fill(
        store.slice(of: optimiser.first, index),
        from: file,
        "first." + info.name,
        step: step
      )
      try fill(
        store.slice(of: optimiser.second, index),
        from: file,
        "second." + info.name,
        step: step
      )
    }
    optimiser.stepCount = count
  }

  /// Removes all checkpoints but the latest ones, the best, and those in which somebody keeps things.
  func prune(keeping count: Int, best: Int?) throws(ReFTError) {
    for step in try steps().dropLast(count) where step != best {
      guard try folder.stranger(inCheckpoint: path(step: step)) == nil else { continue }
      try discard(step: step)
    }
  }

  /// Removes a checkpoint; a kill halfway leaves none, not a half one.
  private func discard(step: Int) throws(ReFTError) {
    let grave = "\(folder.checkpoints)/.removed-\(step)-\(getpid())"
    try folder.remove(grave)
    guard rename(path(step: step), grave) == 0 else {
      throw .cannotWrite(path(step: step), errno: errno)
    }
    try folder.remove(grave)
  }

  private func fill(
    _ target: UnsafeMutableBufferPointer<Float>,
    from file: SafetensorsFile,
    _ name: String,
    step: Int
  ) throws(ReFTError) {
    guard let tensor = file.tensor(name), tensor.elementCount == target.count else {
      throw .brokenCheckpoint(
        path(step: step),
        "tensor '\(name)' of \(target.count) values is not there"
      )
    }
    let values = try file.floats(name)
    for index in target.indices { target[index] = values[index] }
  }

  private static func moments(_ optimiser: AdamW, _ store: ParameterStore) -> [NamedTensor] {
    store.infos.enumerated().flatMap { index, info in
      [("first.", optimiser.first), ("second.", optimiser.second)].map { prefix, buffer in
        NamedTensor(
          name: prefix + info.name,
          shape: info.shape,
          values: Array(store.slice(of: buffer, index))
        )
      }
    }
  }
}
