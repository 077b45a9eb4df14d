// SPDX-License-Identifier: Apache-2.0
// The worker's side: gives up its rights, loads one plugin, and serves calls until its host ends.

import CReFTPlatform
import Foundation
import Logging
import ReFTTensor

/// The life of `reft-plugin-worker`.
public final class PluginWorker {
  private let memory: WorkerMemory
  /// The channel's pages once more, at an address that never changes.
  private let fixed: WorkerMemory
  private var start: WorkerStart?
  private var plugins: [Plugin] = []
  private var instances: [UInt32: Served] = [:]

  /// An instance with the pointer tables of its calls.
  private struct Served {
    let instance: any PluginInstance
    let dim: Int
    let sourceDim: Int
    let counts: [Int]
    /// Where the parameters lie that are inputs.
    let inputs: [UnsafeRawPointer?]
    let parameters: UnsafeMutablePointer<UnsafeRawPointer?>
    let gradients: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  }

  /// Variables by which the libraries of manifests are told how many threads to use.
  static let keptVariables = ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"]

  /// Serves the host that started this process; the arguments are its number and the plugin's path,
  /// which is there for lists of processes.
  ///
  /// - Returns: the exit status, when this process was not started by a host.
  public static func run(arguments: [String]) -> Int32 {
    var status = stat()
    let size = MemoryLayout<reft_channel_t>.size
    guard arguments.count == 3, let host = pid_t(arguments[1]),
      fstat(REFT_WORKER_MEMORY_FD, &status) == 0,
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
    // Without its host, or what it takes to follow it, nothing is to be done.
    guard reft_worker_begin(host) == 0 else { return 69 }
    LoggingSystem.bootstrap { _ in WorkerLog() }
    ForeignCalls.listen(to: fixed.base + Int(REFT_CHANNEL_CANCELLED))
    PluginWorker(memory: memory, fixed: fixed).serve()
  }

  private init(memory: WorkerMemory, fixed: WorkerMemory) {
    self.memory = memory
    self.fixed = fixed
  }

  private func serve() -> Never {
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
    case REFT_COMMAND_CONFINE: try confine()
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

  /// Gives up all rights but those that loading and computing need.
  ///
  /// Nothing of the plugin is in this process yet.
  private func confine() throws(ReFTError) {
    guard start == nil else { throw .workerProtocol("a second start") }
    let start = try request(WorkerStart.self)
    self.start = start
    var reached = try boundFiles(start)
    // Threads and lazily read settings of our own come before the rest.
    ThreadPool.shared.run(64) { _ in }
    _ = Machine.usesFastKernels
    forgetEnvironment()
    var listener: Int32 = -1
    let filtered = reft_confine_worker(&listener)
    if filtered == 0 {
      reached.formUnion([.noNewPrivileges, .systemCalls])
    } else if !start.allowsLess {
      throw .workerCannotConfine("filter system calls", error: -filtered)
    }
    if listener >= 0 {
      if reft_socket_send(REFT_WORKER_SOCKET_FD, listener) == 0 { reached.insert(.told) }
      close(listener)
    }
    close(REFT_WORKER_SOCKET_FD)
    memory.channel.pointee.confinement = UInt32(reached.rawValue)
  }

  /// Leaves this process nothing to open but the libraries that the plugin needs.
  ///
  /// This holds for this thread and those that it starts: it must be the only one.
  private func boundFiles(_ start: WorkerStart) throws(ReFTError) -> WorkerConfinement {
    var bounds = reft_worker_bounds_t()
    guard reft_worker_bounds(getpid(), &bounds) == 0, bounds.threads == 1 else {
      throw .workerProtocol("\(bounds.threads) threads before the start")
    }
    var files: [Int32] = []
    defer { for file in files { close(file) } }
    for path in start.openPaths {
      let file = reft_system_open_name(path)
      guard file >= 0 else { throw .pluginUnreadable(path, errno: -file) }
      files.append(file)
    }
    let bounded = reft_landlock_read_only(files, Int32(files.count))
    guard bounded == 0 || start.allowsLess else {
      throw .workerCannotConfine("bound the files that it opens (Landlock)", error: -bounded)
    }
    return bounded == 0 ? .files : []
  }

  private func forgetEnvironment() {
    let all = ProcessInfo.processInfo.environment
    let kept = Self.keptVariables.compactMap { key in all[key].map { (key, $0) } }
    reft_worker_forget_environment()
    for (key, value) in kept { setenv(key, value, 1) }
  }

  private func load() throws(ReFTError) {
    guard let start, plugins.isEmpty else { throw .workerProtocol("no start") }
    plugins = try start.bytes().loadHere()
    try reply(WorkerHello(plugins: plugins.map { WorkerDescription($0.description) }))
  }

  private func create() throws(ReFTError) {
    let request = try request(WorkerCreate.self)
    guard let plugin = plugins.first(where: { $0.id == request.plugin }) else {
      throw .workerProtocol("plugin '\(request.plugin)'")
    }
    var inputs: [String: PluginInput] = [:]
    for input in request.inputs {
      guard let mapped = input.mapped() else { throw .workerProtocol("input '\(input.option)'") }
      inputs[input.option] = mapped
    }
    let instance = try plugin.makeInstance(
      at: request.site,
      options: request.options.mapValues(\.value),
      inputs: inputs
    )
    let list = inputs.sorted { $0.key < $1.key }.map(\.value)
    let counts = instance.parameters.map { $0.inputIndex == nil ? $0.count : 0 }
    let served = Served(
      instance: instance,
      dim: request.dim,
      sourceDim: request.site.sourceWidth,
      counts: counts,
      inputs: instance.parameters.map { $0.inputIndex.flatMap { list[$0].bytes.baseAddress } },
      parameters: .allocate(capacity: max(1, counts.count)),
      gradients: .allocate(capacity: max(1, counts.count))
    )
    instances[memory.channel.pointee.instance] = served
    memory.channel.pointee.depends_on_sequence = instance.dependsOnSequence ? 1 : 0
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
      if let input = served.inputs[index] {
        (served.parameters[index], served.gradients[index]) = (input, nil)
        continue
      }
      served.parameters[index] = memory.pointer(parameter).map { UnsafeRawPointer($0) }
      served.gradients[index] = memory.pointer(gradient)
      parameter += UInt64(WorkerLayout.tensor(count))
      if gradient != 0 { gradient += UInt64(WorkerLayout.tensor(count)) }
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
    call.source = floats(channel.source).map { UnsafePointer($0) }
    call.sourceStride = served.sourceDim
    call.counterpart = floats(channel.counterpart).map { UnsafePointer($0) }
    call.counterpartStride = served.dim
    call.dsource = floats(channel.dsource)
    call.dsourceStride = served.sourceDim
    call.y = floats(channel.y)
    call.dy = floats(channel.dy)
    call.dx = floats(channel.dx)
    call.yStride = served.dim
    call.dyStride = served.dim
    call.dxStride = served.dim
    call.parameters = UnsafePointer(served.parameters)
    call.parameterGradients = channel.gradients == 0 ? nil : UnsafePointer(served.gradients)
    call.parameterCount = served.counts.count
    // The host leaves room behind outputs, and zeros behind gradients.
    call.ownsBehindOutput = true
    call.isTraining = channel.is_training != 0
    call.saved = memory.pointer(channel.saved)
    call.savedByteCount = Int(channel.saved_bytes)
    call.origins.example = integers(channel.example)
    call.origins.position = integers(channel.position)
    call.origins.length = integers(channel.length)
    call.origins.location = integers(channel.location)
    call.origins.adapter = integers(channel.adapter)
    call.origins.decoded = integers(channel.decoded)
    call.origins.subspace = integers(channel.subspace)
    call.origins.key = memory.pointer(channel.key).map {
      UnsafePointer($0.assumingMemoryBound(to: Int64.self))
    }
    call.randomKey = channel.random_key
    call.randomStep = channel.random_step
    call.collected = floats(channel.collected)
    call.collectedWidth = Int(channel.collected_width)
    call.stateByteCount = Int(channel.state_bytes)
    call.states = states(channel)
    call.progress = RunProgress(step: Int(channel.step), totalSteps: Int(channel.total_steps))
    var auxiliary = channel.auxiliary
    call.auxiliaryGradient = channel.auxiliary_gradient
    let scratch = scratchMemory(Int(channel.scratch_bytes))
    call.scratch = scratch
    call.scratchByteCount = Int(channel.scratch_bytes)
    if isBackward {
      try served.instance.backward(call)
    } else {
      try Self.counting(&auxiliary, channel.wants_auxiliary != 0) { sum throws(ReFTError) in
        call.auxiliary = sum
        try served.instance.forward(call)
      }
      memory.channel.pointee.auxiliary = auxiliary
    }
  }

  /// Hands out a place for a sum where one is wanted.
  private static func counting(
    _ sum: inout Double,
    _ isWanted: Bool,
    _ body: (UnsafeMutablePointer<Double>?) throws(ReFTError) -> Void
  ) throws(ReFTError) {
    guard isWanted else { return try body(nil) }
    try withUnsafeMutablePointer(to: &sum) { place throws(ReFTError) in try body(place) }
  }

  private var scratch = FloatBuffer(count: 0)

  private var stateTable = UnsafeMutablePointer<UnsafeMutableRawPointer?>.allocate(capacity: 1)

  /// One pointer per row into the states in the shared memory; valid until the next call.
  private func states(
    _ channel: reft_channel_t
  ) -> UnsafePointer<UnsafeMutableRawPointer?>? {
    guard let index = integers(channel.state_index) else { return nil }
    let stride = UInt64(WorkerLayout.rounded(Int(channel.state_bytes)))
    stateTable.deallocate()
    stateTable = .allocate(capacity: Int(channel.rows))
    for row in 0..<Int(channel.rows) {
      let place = index[row] < 0 ? 0 : channel.states + stride * UInt64(index[row])
      (stateTable + row).initialize(to: memory.pointer(place))
    }
    return UnsafePointer(stateTable)
  }

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
