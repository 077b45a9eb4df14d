// SPDX-License-Identifier: Apache-2.0
// A call that ended its worker twice, in a file: a safetensors file that other tools can open too.

import Foundation
import Logging
public import ReFTTensor

/// The arguments of one call of a plugin, to be made again.
public struct Capsule: Sendable {
  /// What happened.
  public var reason: String
  /// Which plugin, by id.
  public var plugin: String
  /// The file that it came from.
  public var path: String
  /// The hash of its bytes.
  public var hash: String
  /// Where the instance worked.
  public var site: PluginSite
  /// The options of the instance.
  public var options: [String: OptionValue]
  /// Whether the call is a backward call.
  public var isBackward: Bool
  var isTraining: Bool
  var wantsInputGradient: Bool
  var wantsParameterGradients: Bool
  var randomKey, randomStep: UInt64
  /// The number of rows.
  public var rows: Int
  var savedByteCount, scratchByteCount: Int
  var origins: [String: [Int32]]
  var tensors: [String: NamedTensor]

  /// The text of the file's metadata.
  private struct Facts: Codable {
    var reason, plugin, path, hash, component: String
    var dim, layer, rows, savedByteCount, scratchByteCount: Int
    var options: [String: WorkerValue]
    var isBackward, isTraining, wantsInputGradient, wantsParameterGradients: Bool
    var randomKey, randomStep: UInt64
    var origins: [String: [Int32]]
  }
  private static let key = "reft_capsule"

  init(
    _ request: WorkerCall,
    description: PluginDescription,
    site: PluginSite,
    options: [String: OptionValue],
    parameters: [ParameterInfo],
    reason: String
  ) {
    let call = request.call
    self.reason = reason
    plugin = description.id
    path = description.path
    hash = description.hash
    self.site = site
    self.options = options
    isBackward = request.isBackward
    isTraining = call.isTraining
    wantsInputGradient = call.dx != nil
    wantsParameterGradients = call.parameterGradients != nil
    (randomKey, randomStep) = (call.randomKey, call.randomStep)
    rows = call.rows
    (savedByteCount, scratchByteCount) = (call.savedByteCount, call.scratchByteCount)
    origins = [:]
    for (name, values) in [
      ("example", call.source.example), ("position", call.source.position),
      ("length", call.source.length), ("location", call.source.location),
      ("adapter", call.source.adapter),
    ] {
      if let values { origins[name] = Array(UnsafeBufferPointer(start: values, count: call.rows)) }
    }
    tensors = [:]
    func keep(_ name: String, _ shape: [Int], _ values: [Float]) {
      tensors[name] = NamedTensor(name: name, shape: shape, values: values)
    }
    keep("x", [call.rows, site.dim], Self.rows(call.x, call.xStride, call.rows, site.dim))
    if let dy = call.dy {
      keep("dy", [call.rows, site.dim], Self.rows(dy, call.dyStride, call.rows, site.dim))
    }
    for (index, parameter) in parameters.enumerated() {
      if let values = call.parameters?[index] {
        keep("parameter.\(parameter.name)", parameter.shape, Self.floats(values, parameter.count))
      }
      if let values = call.parameterGradients?[index] {
        keep("gradient.\(parameter.name)", parameter.shape, Self.floats(values, parameter.count))
      }
    }
    if isBackward, let saved = call.saved, call.savedByteCount > 0 {
      // Bytes, written as the numbers that have the same bits.
      var values = [Float](repeating: 0, count: (call.savedByteCount + 3) / 4)
      values.withUnsafeMutableBytes {
        $0.copyMemory(from: UnsafeRawBufferPointer(start: saved, count: call.savedByteCount))
      }
      keep("saved", [values.count], values)
    }
  }

  private static func rows(
    _ base: UnsafeMutablePointer<Float>,
    _ stride: Int,
    _ count: Int,
    _ dim: Int
  ) -> [Float] {
    (0..<count).flatMap { UnsafeBufferPointer(start: base + $0 * stride, count: dim) }
  }

  private static func floats(_ base: UnsafeRawPointer, _ count: Int) -> [Float] {
    Array(UnsafeBufferPointer(start: base.assumingMemoryBound(to: Float.self), count: count))
  }

  /// Writes the capsule into a folder.
  ///
  /// - Returns: its path, or nil when there is no folder or it cannot be written, which is logged.
  func save(in folder: String?) -> String? {
    guard let folder else { return nil }
    let name = plugin.split(separator: ".").last.map(String.init) ?? "plugin"
    let facts = Facts(
      reason: reason,
      plugin: plugin,
      path: path,
      hash: hash,
      component: site.component,
      dim: site.dim,
      layer: site.layer,
      rows: rows,
      savedByteCount: savedByteCount,
      scratchByteCount: scratchByteCount,
      options: options.mapValues(WorkerValue.init),
      isBackward: isBackward,
      isTraining: isTraining,
      wantsInputGradient: wantsInputGradient,
      wantsParameterGradients: wantsParameterGradients,
      randomKey: randomKey,
      randomStep: randomStep,
      origins: origins
    )
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
    guard facts.rows > 0, facts.rows < 1 << 24, facts.dim > 0, facts.dim < 1 << 24,
      (0..<1 << 40).contains(facts.savedByteCount), (0..<1 << 40).contains(facts.scratchByteCount),
      facts.origins.values.allSatisfy({ $0.count == facts.rows })
    else { throw .badCapsule(file, reason: "its sizes cannot be") }
    reason = facts.reason
    plugin = facts.plugin
    path = facts.path
    hash = facts.hash
    site = PluginSite(dim: facts.dim, layer: facts.layer, component: facts.component)
    options = facts.options.mapValues(\.value)
    (isBackward, isTraining) = (facts.isBackward, facts.isTraining)
    wantsInputGradient = facts.wantsInputGradient
    wantsParameterGradients = facts.wantsParameterGradients
    (randomKey, randomStep, rows) = (facts.randomKey, facts.randomStep, facts.rows)
    (savedByteCount, scratchByteCount) = (facts.savedByteCount, facts.scratchByteCount)
    origins = facts.origins
    tensors = [:]
    for tensor in contents.tensors {
      guard tensor.type == .f32 else {
        throw .badCapsule(file, reason: "tensor '\(tensor.name)' is \(tensor.type.rawValue)")
      }
      let values = tensor.bytes.withMemoryRebound(to: Float.self) { Array($0) }
      tensors[tensor.name] = NamedTensor(name: tensor.name, shape: tensor.shape, values: values)
    }
    let size = facts.rows * facts.dim
    guard tensors["x"]?.values.count == size, !isBackward || tensors["dy"]?.values.count == size
    else { throw .badCapsule(file, reason: "its rows are not \(facts.rows) of \(facts.dim)") }
  }
}
