// SPDX-License-Identifier: Apache-2.0
// The worker's side: loads one plugin, gives up its rights, and serves calls until its host ends.

import CReFTPlatform
import Foundation
import ReFTTensor

/// The life of `reft-plugin-worker`.
public final class PluginWorker {
  private let memory: WorkerMemory
  /// The channel's pages once more, at an address that never changes.
  private let fixed: WorkerMemory
  private let pluginPath: String
  private let libraryPath: String
  private var plugins: [Plugin] = []
  private var instances: [UInt32: Served] = [:]

  /// An instance with the pointer tables of its calls.
  private struct Served {
    let instance: any PluginInstance
    let dim: Int
    let counts: [Int]
    let parameters: UnsafeMutablePointer<UnsafeRawPointer?>
    let gradients: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  }

  /// Serves the host that started this process; the arguments are the plugin's path and, for a
  /// manifest, the path of its library.
  ///
  /// - Returns: the exit status, when this process was not started by a host.
  public static func run(arguments: [String]) -> Int32 {
    var status = stat()
    let size = MemoryLayout<reft_channel_t>.size
    guard arguments.count >= 2, fstat(REFT_WORKER_MEMORY_FD, &status) == 0,
      Int(status.st_size) >= size,
      let memory = WorkerMemory(
        descriptor: REFT_WORKER_MEMORY_FD,
        byteCount: Int(status.st_size)
      ),
      let fixed = WorkerMemory(descriptor: REFT_WORKER_MEMORY_FD, byteCount: size)
    else {
      let text = "reft-plugin-worker is started by reft for plugins that run in their own process\n"
      // Not through FileHandle, which traps where standard error is closed or full.
      _ = text.withCString { write(STDERR_FILENO, $0, strlen($0)) }
      return 64
    }
    let worker = PluginWorker(
      memory: memory,
      fixed: fixed,
      pluginPath: arguments[1],
      libraryPath: arguments.count > 2 ? arguments[2] : ""
    )
    worker.serve()
  }

  private init(memory: WorkerMemory, fixed: WorkerMemory, pluginPath: String, libraryPath: String) {
    self.memory = memory
    self.fixed = fixed
    self.pluginPath = pluginPath
    self.libraryPath = libraryPath
  }

  private func serve() -> Never {
    reft_worker_no_core()
    _ = reft_worker_follow_host(REFT_WORKER_LIFE_FD)
    var seen: UInt32 = 0
    while true {
      while reft_word_wait(memory.requestWord, seen, 1000, 1_000_000) == 0 {}
      seen = reft_word_load(memory.requestWord)
      answer()
      reft_word_store_and_wake(memory.replyWord, seen)
    }
  }

  private func answer() {
    let channel = memory.channel
    _ = memory.grow(to: Int(clamping: channel.pointee.memory_bytes))
    do throws(ReFTError) {
      try perform(memory.channel.pointee.command)
      memory.channel.pointee.failed = 0
    } catch {
      memory.message = (try? WorkerJSON.encode(WorkerError(error))) ?? Data()
      memory.channel.pointee.failed = 1
    }
  }

  private func perform(_ command: UInt32) throws(ReFTError) {
    switch command {
    case REFT_COMMAND_FORWARD: try call(isBackward: false)
    case REFT_COMMAND_BACKWARD: try call(isBackward: true)
    case REFT_COMMAND_HELLO: try load()
    case REFT_COMMAND_CREATE: try create()
    case REFT_COMMAND_PLAN:
      let rows = Int(memory.channel.pointee.rows)
      try reply(WorkerWorkspace(try served().instance.plan(maxRows: rows)))
    case REFT_COMMAND_INITIALIZE:
      let served = try served()
      bind(served)
      let pointers = served.counts.indices.compactMap { index in
        served.parameters[index].map { UnsafeMutableRawPointer(mutating: $0) }
      }
      try served.instance.initialize(pointers, seed: memory.channel.pointee.random_key)
    case REFT_COMMAND_DESTROY:
      if let served = instances.removeValue(forKey: memory.channel.pointee.instance) {
        served.parameters.deallocate()
        served.gradients.deallocate()
      }
    default: throw .workerProtocol("command \(command)")
    }
  }

  private func reply(_ value: some Encodable) throws(ReFTError) {
    guard let data = try? WorkerJSON.encode(value), data.count <= memory.messageCapacity else {
      throw .workerProtocol("an answer that is too long")
    }
    memory.message = data
  }

  private func request<Value: Decodable>(_ type: Value.Type) throws(ReFTError) -> Value {
    guard let value = try? WorkerJSON.decode(type, memory.message) else {
      throw .workerProtocol("a request that cannot be read")
    }
    return value
  }

  /// Gives up rights, loads, and gives up the right to open files too.
  private func load() throws(ReFTError) {
    // Threads and lazily read files of our own come first.
    ThreadPool.shared.run(64) { _ in }
    let refused = (fixed.base + Int(REFT_CHANNEL_REFUSED)).assumingMemoryBound(to: UInt32.self)
    _ = reft_confine(REFT_ALLOW_READING, refused)
    let file = try PluginFile(sealed: REFT_WORKER_PLUGIN_FD, path: pluginPath)
    var library: PluginFile?
    if !libraryPath.isEmpty {
      library = try PluginFile(sealed: REFT_WORKER_LIBRARY_FD, path: libraryPath)
    }
    plugins = try PluginBytes(file: file, library: library).loadHere()
    let reached = reft_confine(0, refused)
    memory.channel.pointee.confinement = UInt32(max(0, reached))
    try reply(WorkerHello(plugins: plugins.map { WorkerDescription($0.description) }))
  }

  private func create() throws(ReFTError) {
    let request = try request(WorkerCreate.self)
    guard let plugin = plugins.first(where: { $0.id == request.plugin }) else {
      throw .workerProtocol("plugin '\(request.plugin)'")
    }
    let instance = try plugin.makeInstance(
      at: request.site,
      options: request.options.mapValues(\.value)
    )
    let counts = instance.parameters.map(\.count)
    let served = Served(
      instance: instance,
      dim: request.dim,
      counts: counts,
      parameters: .allocate(capacity: max(1, counts.count)),
      gradients: .allocate(capacity: max(1, counts.count))
    )
    instances[memory.channel.pointee.instance] = served
    memory.channel.pointee.reserved.0 = instance.dependsOnSequence ? 1 : 0
    try reply(instance.parameters.map(WorkerParameter.init))
  }

  private func served() throws(ReFTError) -> Served {
    let number = memory.channel.pointee.instance
    guard let served = instances[number] else { throw .workerProtocol("instance \(number)") }
    return served
  }

  /// Fills the tables with the places of parameters and gradients in the shared memory.
  private func bind(_ served: Served) {
    var parameter = memory.channel.pointee.parameters
    var gradient = memory.channel.pointee.gradients
    for (index, count) in served.counts.enumerated() {
      served.parameters[index] = memory.pointer(parameter).map { UnsafeRawPointer($0) }
      served.gradients[index] = memory.pointer(gradient)
      parameter += UInt64(WorkerLayout.rounded(4 * count))
      if gradient != 0 { gradient += UInt64(WorkerLayout.rounded(4 * count)) }
    }
  }

  private func call(isBackward: Bool) throws(ReFTError) {
    let served = try served()
    let channel = memory.channel.pointee
    guard let x = memory.pointer(channel.x), channel.rows > 0 else {
      throw .workerProtocol("a call without rows")
    }
    bind(served)
    var call = PluginCall(
      rows: Int(channel.rows),
      x: x.assumingMemoryBound(to: Float.self),
      xStride: served.dim
    )
    call.y = floats(channel.y)
    call.dy = floats(channel.dy)
    call.dx = floats(channel.dx)
    call.yStride = served.dim
    call.dyStride = served.dim
    call.dxStride = served.dim
    call.parameters = UnsafePointer(served.parameters)
    call.parameterGradients = channel.gradients == 0 ? nil : UnsafePointer(served.gradients)
    call.parameterCount = served.counts.count
    call.isTraining = channel.is_training != 0
    call.saved = memory.pointer(channel.saved)
    call.savedByteCount = Int(channel.saved_bytes)
    call.source.example = integers(channel.example)
    call.source.position = integers(channel.position)
    call.source.length = integers(channel.length)
    call.source.location = integers(channel.location)
    call.source.adapter = integers(channel.adapter)
    call.randomKey = channel.random_key
    call.randomStep = channel.random_step
    let scratch = scratchMemory(Int(channel.scratch_bytes))
    call.scratch = scratch
    call.scratchByteCount = Int(channel.scratch_bytes)
    if isBackward {
      try served.instance.backward(call)
    } else {
      try served.instance.forward(call)
    }
  }

  private var scratch = FloatBuffer(count: 0)

  private func scratchMemory(_ byteCount: Int) -> UnsafeMutableRawPointer? {
    guard byteCount > 0 else { return nil }
    if scratch.count * 4 < byteCount { scratch = FloatBuffer(count: (byteCount + 3) / 4) }
    return UnsafeMutableRawPointer(scratch.base)
  }

  private func floats(_ offset: UInt64) -> UnsafeMutablePointer<Float>? {
    memory.pointer(offset)?.assumingMemoryBound(to: Float.self)
  }

  private func integers(_ offset: UInt64) -> UnsafePointer<Int32>? {
    memory.pointer(offset).map { UnsafePointer($0.assumingMemoryBound(to: Int32.self)) }
  }
}
