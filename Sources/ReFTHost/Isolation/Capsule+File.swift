// SPDX-License-Identifier: Apache-2.0
// A capsule as a file, written and read.

import Foundation
import Logging
public import ReFTTensor

extension Capsule {
  /// The text of the file's metadata.
  private struct Facts: Codable {
    var reason, plugin, path, hash, component: String
    var call: Call
    var dim, layer, rows, savedByteCount, scratchByteCount: Int
    var options: [String: WorkerValue]
    var isTraining, wantsInputGradient, wantsParameterGradients: Bool
    var randomKey, randomStep: UInt64
    /// Not in capsules of earlier versions.
    var step, totalSteps: Int?
    var wantsAuxiliary, wantsSourceGradient: Bool?
    var auxiliaryGradient: Double?
    var origins: [String: [Int32]]
    // Since ABI 1.1.
    var sourceDim, locations: Int?
    var keys: [Int64]?
    var stateByteCount: Int?
  }
  private static let key = "reft_capsule"

  private var facts: Facts {
    Facts(
      reason: reason,
      plugin: plugin,
      path: path,
      hash: hash,
      component: site.component,
      call: call,
      dim: site.dim,
      layer: site.layer,
      rows: rows,
      savedByteCount: savedByteCount,
      scratchByteCount: scratchByteCount,
      options: options.mapValues(WorkerValue.init),
      isTraining: isTraining,
      wantsInputGradient: wantsInputGradient,
      wantsParameterGradients: wantsParameterGradients,
      randomKey: randomKey,
      randomStep: randomStep,
      step: progress.step,
      totalSteps: progress.totalSteps,
      wantsAuxiliary: wantsAuxiliary,
      wantsSourceGradient: wantsSourceGradient,
      auxiliaryGradient: auxiliaryGradient,
      origins: origins,
      sourceDim: site.sourceDim,
      locations: site.locations,
      keys: keys,
      stateByteCount: stateByteCount
    )
  }

  /// Writes the capsule into a folder.
  ///
  /// - Returns: its path, or nil when there is no folder or it cannot be written, which is logged.
  func save(in folder: String?) -> String? {
    guard let folder else { return nil }
    let name = plugin.split(separator: ".").last.map(String.init) ?? "plugin"
    do {
      try FileManager.default.createDirectory(
        atPath: folder,
        withIntermediateDirectories: true,
        attributes: [.posixPermissions: 0o700]
      )
      let stamp = UInt64(Date().timeIntervalSince1970 * 1000)
      let target = "\(folder)/\(name)-\(stamp).capsule"
      let text = String(decoding: try WorkerJSON.encode(facts), as: UTF8.self)
      try Safetensors.write(
        tensors.values.sorted { $0.name < $1.name },
        metadata: [Self.key: text],
        to: target
      )
      return target
    } catch {
      Logger(label: "reft.plugins").error("the capsule of plugin '\(name)' is not kept: \(error)")
      return nil
    }
  }

  /// Reads a capsule.
  ///
  /// - Throws: `.badData` or `.inputOutput`.
  public init(path file: String) throws(ReFTError) {
    let contents = try Safetensors.read(path: file)
    guard let text = contents.metadata[Self.key],
      let facts = try? WorkerJSON.decode(Facts.self, Data(text.utf8))
    else { throw .badCapsule(file, reason: "it says nothing about a call") }
    self.init(
      facts.call,
      plugin: facts.plugin,
      path: facts.path,
      hash: facts.hash,
      reason: facts.reason
    )
    guard (0..<1 << 24).contains(facts.rows), facts.rows > 0 || !hasRows,
      (1..<1 << 24).contains(facts.dim),
      (0..<1 << 40).contains(facts.savedByteCount), (0..<1 << 40).contains(facts.scratchByteCount),
      facts.origins.values.allSatisfy({ $0.count == facts.rows }),
      facts.keys.map({ $0.count == facts.rows }) ?? true,
      [facts.sourceDim, facts.locations, facts.stateByteCount]
        .allSatisfy({ (0..<1 << 31).contains($0 ?? 0) })
    else { throw .badCapsule(file, reason: "its sizes cannot be") }
    site = PluginSite(
      dim: facts.dim,
      layer: facts.layer,
      component: facts.component,
      sourceDim: facts.sourceDim ?? 0,
      locations: facts.locations ?? 0
    )
    options = facts.options.mapValues(\.value)
    isTraining = facts.isTraining
    wantsInputGradient = facts.wantsInputGradient
    wantsParameterGradients = facts.wantsParameterGradients
    (randomKey, randomStep, rows) = (facts.randomKey, facts.randomStep, facts.rows)
    progress = RunProgress(step: facts.step ?? 0, totalSteps: facts.totalSteps ?? 0)
    wantsAuxiliary = facts.wantsAuxiliary ?? false
    wantsSourceGradient = facts.wantsSourceGradient ?? false
    auxiliaryGradient = facts.auxiliaryGradient ?? 0
    (savedByteCount, scratchByteCount) = (facts.savedByteCount, facts.scratchByteCount)
    origins = facts.origins
    keys = facts.keys
    stateByteCount = facts.stateByteCount ?? 0
    for tensor in contents.tensors {
      guard tensor.type == .f32 else {
        throw .badCapsule(file, reason: "tensor '\(tensor.name)' is \(tensor.type.rawValue)")
      }
      let values = tensor.bytes.withMemoryRebound(to: Float.self) { Array($0) }
      tensors[tensor.name] = NamedTensor(name: tensor.name, shape: tensor.shape, values: values)
    }
    guard hasRows else { return }
    let words = (stateByteCount + 3) / 4
    guard
      (origins["state"] ?? []).allSatisfy({ index in
        index >= 0 && (Int(index) + 1) * words <= tensors["states"]?.values.count ?? 0
      })
    else { throw .badCapsule(file, reason: "its states are not those of its rows") }
    let size = facts.rows * facts.dim
    guard tensors["x"]?.values.count == size,
      call == .forward || tensors["dy"]?.values.count == size,
      tensors["counterpart"].map({ $0.values.count == size }) ?? true,
      tensors["source"].map({ $0.values.count == facts.rows * site.sourceWidth }) ?? true
    else { throw .badCapsule(file, reason: "its rows are not \(facts.rows) of \(facts.dim)") }
  }
}
