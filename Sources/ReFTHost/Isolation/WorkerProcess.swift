// SPDX-License-Identifier: Apache-2.0
// One running worker, from the host's side: started with exactly what it needs, bounded, and killed
// when it does not answer.

import CReFTPlatform
import Foundation
import ReFTTensor

/// Why a worker gave no answer.
enum WorkerFailure: Error {
  /// It ended: exited or was killed.
  case ended(status: Int32)
  /// It did not answer in time and was killed.
  case timedOut(seconds: Double, computed: Double)
  /// It could not be started or given memory.
  case notStarted(String)
  /// The user wants the work to end, and it did not.
  case interrupted

  /// What happened, in words that follow "its process".
  var description: String {
    switch self {
    case .timedOut(let seconds, let computed):
      let share = String(format: "%.1f", computed)
      return "did not answer for \(seconds) s and was killed (it computed for \(share) s of them)"
    case .notStarted(let reason): return "could not be started: \(reason)"
    case .interrupted: return "was ended, as the user asked"
    case .ended(let status):
      var value: Int32 = 0
      if reft_worker_status(status, &value) == 0 { return "exited with status \(value)" }
      let name = strsignal(value).map { String(cString: $0) } ?? "unknown"
      let hint = value == SIGSYS ? ": it made a system call of another machine" : ""
      return "was killed by signal \(value) (\(name.lowercased()))\(hint)"
    }
  }
}

/// A worker process with its shared memory; it ends with this object, and with the host.
final class WorkerProcess {
  let memory: WorkerMemory
  let identifier: pid_t
  /// Instances that exist in it, by number.
  var instances: Set<UInt32> = []
  private let memoryFile: Int32
  private let inputs: WorkerInputs
  private let watch: WorkerWatch
  private let settings: IsolationSettings
  private var isRunning = true
  private var loadedBytes = 4 << 30
  private var requests: UInt32 = 0

  /// Variables that change numbers, or where the worker's own libraries are found; the others stay with
  /// the host.
  private static let passedOn = ["LD_LIBRARY_PATH", "REFT_KERNELS", "REFT_THREADS"]

  init(_ bytes: PluginBytes, settings: IsolationSettings) throws(WorkerFailure) {
    guard let executable = settings.executable, access(executable, X_OK) == 0 else {
      throw .notStarted(
        "'\(settings.executable ?? "reft-plugin-worker")' is not there; it belongs beside reft, or "
          + "name it with REFT_PLUGIN_WORKER"
      )
    }
    self.settings = settings
    inputs = try WorkerInputs()
    (memory, memoryFile) = try Self.makeMemory()
    do throws(WorkerFailure) {
      let watch = WorkerWatch(try Self.launch(executable, bytes, memoryFile, inputs))
      defer { close(watch.workerSocket) }
      identifier = try watch.start()
      self.watch = watch
    } catch {
      close(memoryFile)
      throw error
    }
    bound()
  }

  private static func makeMemory() throws(WorkerFailure) -> (WorkerMemory, Int32) {
    let file = reft_memory_file("reft-worker")
    guard file >= 0 else { throw .notStarted("no shared memory: \(text(-file))") }
    let size = WorkerMemory.dataOffset
    guard ftruncate(file, off_t(size)) == 0,
      let memory = WorkerMemory(descriptor: file, byteCount: size)
    else {
      let reason = text(errno)
      close(file)
      throw .notStarted("no shared memory: \(reason)")
    }
    return (memory, file)
  }

  private static func launch(
    _ executable: String,
    _ bytes: PluginBytes,
    _ memoryFile: Int32,
    _ inputs: WorkerInputs
  ) throws(WorkerFailure) -> WorkerWatch.Launch {
    let files: [PluginFile]
    let needs: LibraryClosure
    do throws(ReFTError) {
      files = try WorkerStart.files(bytes)
      needs = try bytes.needs
    } catch {
      throw .notStarted(error.message)
    }
    var ends: [Int32] = [-1, -1]
    let paired = reft_socket_pair(&ends)
    guard paired == 0 else { throw .notStarted("no socket: \(text(-paired))") }
    let last = REFT_WORKER_FILES_FD + Int32(files.count)
    return WorkerWatch.Launch(
      executable: executable,
      arguments: [String(getpid()), bytes.file.path],
      environment: environment(),
      descriptors: [memoryFile, ends[1], inputs.descriptor] + files.map(\.descriptor),
      socket: ends[0],
      name: (bytes.file.path as NSString).lastPathComponent,
      rules: WorkerRules(
        openPaths: Set(needs.systems.map(\.path)),
        sealedDescriptors: REFT_WORKER_FILES_FD..<last
      ),
      threadLimit: threadLimit
    )
  }

  /// The most threads that a plugin may start.
  private static let threadLimit = 64

  deinit {
    if isRunning { end() }
    close(memoryFile)
  }

  /// What the worker tried in vain since the last time, in words that follow "tried".
  func takeTold() -> [String] { watch.takeTold() }

  /// Counts what is mapped now as the plugin's own need, and bounds what it may add.
  func boundAfterLoading() {
    loadedBytes = max(0, Int(reft_worker_mapped_bytes(identifier)))
    bound()
  }

  private func bound() {
    let shared = 2 * UInt64(memory.byteCount) + UInt64(inputs.byteCount)
    let limit = UInt64(loadedBytes) + UInt64(settings.memoryLimit) + shared
    _ = reft_worker_limit_memory(identifier, limit)
  }

  /// Hands inputs over, each once in the life of this process.
  func describe(_ given: [String: PluginInput]) throws(WorkerFailure) -> [WorkerInput] {
    let result = try inputs.describe(given)
    bound()
    return result
  }

  /// Sees to it that the shared memory has room for a call.
  func reserve(_ byteCount: Int) throws(WorkerFailure) {
    guard byteCount > memory.byteCount else { return }
    var size = memory.byteCount
    while size < byteCount {
      let (double, overflows) = size.multipliedReportingOverflow(by: 2)
      size = overflows ? byteCount : double
    }
    guard ftruncate(memoryFile, off_t(size)) == 0, memory.grow(to: size) else {
      throw .notStarted("no \(size) bytes of shared memory: \(Self.text(errno))")
    }
    memory.channel.pointee.memory_bytes = UInt64(size)
    bound()
  }

  /// Gives a command and waits for its answer.
  func perform(_ command: UInt32, instance: UInt32 = 0) throws(WorkerFailure) {
    memory.channel.pointee.command = command
    memory.channel.pointee.instance = instance
    memory.channel.pointee.memory_bytes = UInt64(memory.byteCount)
    memory.channel.pointee.cancelled = ForeignCalls.isCancelled ? 1 : 0
    requests &+= 1
    let before = requests &- 1
    reft_word_store_and_wake(memory.requestWord, requests)
    if reft_word_wait(memory.replyWord, before, settings.spins, 20_000) == 1 { return }
    // Not at once: look now and then whether it is still alive. Time counts in small slices, so that
    // a machine that stands still for a while does not turn an innocent plugin into a hanging one.
    var (waited, last) = (0.0, DispatchTime.now().uptimeNanoseconds)
    var asked: UInt64?
    let computedBefore = processorSeconds
    while true {
      var status: Int32 = 0
      if reft_worker_reap(identifier, 0, &status) != 0 {
        isRunning = false
        watch.finish()
        // It may have answered and ended after that.
        if reft_word_load(memory.replyWord) == requests { return }
        throw .ended(status: status)
      }
      let now = DispatchTime.now().uptimeNanoseconds
      waited += min(Double(now - last) / 1e9, Self.longestSlice)
      last = now
      if ForeignCalls.isCancelled {
        memory.channel.pointee.cancelled = 1
        let since = asked ?? now
        asked = since
        if Double(now - since) / 1e9 > Self.graceSeconds {
          end()
          throw .interrupted
        }
      }
      if waited > settings.timeoutSeconds {
        let computed = processorSeconds - computedBefore
        end()
        throw .timedOut(seconds: settings.timeoutSeconds, computed: max(0, computed))
      }
      if reft_word_wait(memory.replyWord, before, 0, 20_000) == 1 { return }
    }
  }

  private func end() {
    var status: Int32 = 0
    _ = reft_worker_kill(identifier)
    _ = reft_worker_reap(identifier, 1, &status)
    isRunning = false
    watch.finish()
  }

  /// How long a call may go on after the user asked for its end.
  private static let graceSeconds = 0.5

  /// The most seconds that one look at the worker counts for; looks are 20 ms apart.
  private static let longestSlice = 0.5

  /// Processor time that the worker has used so far.
  private var processorSeconds: Double { reft_worker_processor_seconds(identifier) }

  private static func environment() -> [String] {
    var result = ["SWIFT_BACKTRACE=enable=no"]
    let all = ProcessInfo.processInfo.environment
    for key in passedOn + PluginWorker.keptVariables {
      if let value = all[key] { result.append("\(key)=\(value)") }
    }
    return result
  }

  private static func text(_ code: Int32) -> String { String(cString: strerror(code)) }
}
