// SPDX-License-Identifier: Apache-2.0
// An instance whose calls are made in a worker.

import CReFTPlatform
import Foundation
import ReFTTensor
import Synchronization

/// One use of an isolated plugin, with its options and width.
final class IsolatedInstance: PluginInstance, @unchecked Sendable {
  // Sendable: fixed after init but for what is behind locks.

  /// What it takes to make the instance once more in a new worker.
  struct Identity: Sendable {
    let number: UInt32
    let create: WorkerCreate
    /// What its options name.
    let inputs: [String: PluginInput]
    /// What the first worker said of its parameters.
    var answer = Data()

    /// How configurations name the plugin.
    var name: String { create.plugin.split(separator: ".").last.map(String.init) ?? create.plugin }
  }

  let parameters: [ParameterInfo]
  private let plugin: IsolatedPlugin
  private let description: PluginDescription
  private let site: PluginSite
  private let options: [String: OptionValue]
  let dependsOnSequence: Bool
  private let identity: Identity
  private let counts: [Int]
  private let planned = Mutex<(rows: Int, workspace: PluginWorkspace)?>(nil)
  private let counted = Mutex(PluginUsage())

  init(
    _ plugin: IsolatedPlugin,
    _ description: PluginDescription,
    at site: PluginSite,
    options: [String: OptionValue],
    inputs: [String: PluginInput] = [:]
  ) throws(ReFTError) {
    let create = WorkerCreate(plugin: description.id, site: site, options: options)
    guard (try? WorkerJSON.encode(create)) != nil else {
      throw .workerProtocol("options that cannot be sent")
    }
    var identity = Identity(number: plugin.nextInstance(), create: create, inputs: inputs)
    let (answer, depends) = try plugin.perform(
      REFT_COMMAND_CREATE,
      identity,
      what: "create",
      capsule: { reason in
        Capsule(.create, of: description, at: site, options: options, reason: reason)
      },
      read: { ($0.message, $0.channel.pointee.depends_on_sequence != 0) }
    )
    guard let infos = try? WorkerJSON.decode([WorkerParameter].self, answer) else {
      throw .workerNonsense(description.name, "parameters that cannot be read")
    }
    identity.answer = answer
    parameters = try WorkerParameter.checked(
      infos,
      plugin: description.name,
      inputs: inputs.sorted { $0.key < $1.key }.map(\.value),
      memoryLimit: plugin.memoryLimit
    )
    // Inputs are there already.
    counts = parameters.map { $0.inputIndex == nil ? $0.count : 0 }
    dependsOnSequence = depends
    self.identity = identity
    self.plugin = plugin
    self.description = description
    self.site = site
    self.options = options
  }

  deinit { plugin.destroy(identity) }

  var usage: PluginUsage { counted.withLock { $0 } }

  /// The worker's process and how often it was started, for tests and reports.
  var worker: (process: Int32?, starts: Int) { (plugin.processIdentifier, plugin.starts) }

  /// What the plugin tried in vain, in words that follow "tried".
  var attempts: Set<String> { plugin.attempts }

  /// What the worker has given up.
  var confinement: WorkerConfinement { plugin.confinement }

  func initialize(_ parameters: [UnsafeMutableRawPointer], seed: UInt64) throws(ReFTError) {
    var layout = WorkerLayout()
    let places = counts.map { layout.place(WorkerLayout.tensor($0)) }
    try plugin.perform(
      REFT_COMMAND_INITIALIZE,
      identity,
      what: "init_params",
      byteCount: layout.end,
      capsule: { reason in
        var capsule = Capsule(
          .initialize,
          of: description,
          at: site,
          options: options,
          reason: reason
        )
        capsule.randomKey = seed
        return capsule
      },
      write: { memory in
        memory.channel.pointee.parameters = places.first ?? 0
        memory.channel.pointee.gradients = 0
        memory.channel.pointee.random_key = seed
        for (index, place) in places.enumerated() {
          memcpy(memory.base + Int(place), parameters[index], 4 * counts[index])
        }
      },
      read: { memory in
        for (index, place) in places.enumerated() {
          memcpy(parameters[index], memory.base + Int(place), 4 * counts[index])
        }
      }
    )
  }

  func plan(maxRows: Int) throws(ReFTError) -> PluginWorkspace {
    if let known = planned.withLock({ $0 }), known.rows >= maxRows { return known.workspace }
    // Powers of two, as in process, so that both plan for the same numbers of rows.
    var rows = 64
    while rows < maxRows { rows *= 2 }
    let answer = try plugin.perform(
      REFT_COMMAND_PLAN,
      identity,
      what: "plan",
      capsule: { reason in
        var capsule = Capsule(.plan, of: description, at: site, options: options, reason: reason)
        capsule.rows = rows
        return capsule
      },
      write: { $0.channel.pointee.rows = Int64(rows) },
      read: { $0.message }
    )
    guard let workspace = try? WorkerJSON.decode(WorkerWorkspace.self, answer) else {
      throw .workerNonsense(description.name, "a workspace that cannot be read")
    }
    let need = try workspace.checked(
      rows: rows,
      plugin: description.name,
      memoryLimit: plugin.memoryLimit
    )
    planned.withLock { $0 = (rows, need) }
    return need
  }

  func forward(_ call: PluginCall) throws(ReFTError) {
    let start = DispatchTime.now().uptimeNanoseconds
    try perform(call, isBackward: false)
    let time = Int(DispatchTime.now().uptimeNanoseconds - start)
    counted.withLock {
      $0.forwardCalls += 1
      $0.forwardNanoseconds += time
      $0.rows += call.rows
    }
  }

  func backward(_ call: PluginCall) throws(ReFTError) {
    let start = DispatchTime.now().uptimeNanoseconds
    try perform(call, isBackward: true)
    let time = Int(DispatchTime.now().uptimeNanoseconds - start)
    counted.withLock {
      $0.backwardCalls += 1
      $0.backwardNanoseconds += time
    }
  }

  private func perform(_ call: PluginCall, isBackward: Bool) throws(ReFTError) {
    // A worker that was started again plans as the first one did.
    let request = WorkerCall(call, isBackward: isBackward, site: site, counts: counts)
    let name = isBackward ? "backward" : "forward"
    try plugin.perform(
      isBackward ? REFT_COMMAND_BACKWARD : REFT_COMMAND_FORWARD,
      identity,
      what: "\(name) of layer \(site.layer) over \(call.rows) rows",
      byteCount: request.byteCount,
      capsule: { reason in
        var capsule = Capsule(
          isBackward ? .backward : .forward,
          of: description,
          at: site,
          options: options,
          reason: reason
        )
        capsule.keep(request, parameters: parameters)
        return capsule
      },
      write: { request.write(to: $0) },
      read: { memory throws(ReFTError) in
        request.read(from: memory)
        // Its process has looked at them too, but what it says is not believed.
        guard request.wroteFiniteRows else {
          throw .workerAnswer(description.name, "\(name) gave numbers that are not finite")
        }
        if isBackward {
          try call.checkGradients(description.name, site: site, parameters: parameters)
        } else {
          try call.checkAuxiliary(description.name)
        }
      }
    )
  }
}
