// SPDX-License-Identifier: Apache-2.0
// The host's side of a plugin in a process of its own: one worker for all its instances, started
// again when it ends, and the same call made again, once.

import CReFTPlatform
import Foundation
import Logging
import ReFTTensor

/// A plugin's file in a worker.
final class IsolatedPlugin: @unchecked Sendable {
  // Sendable: everything that changes is used under `turn`.
  let bytes: PluginBytes
  private let settings: IsolationSettings
  private let store: TrustStore?
  private let turn = NSLock()
  private let logger = Logger(label: "reft.plugins")
  private var process: WorkerProcess?
  private var ending: ReFTError?
  private var created: UInt32 = 0
  private var startCount = 0
  private var noted: Set<String> = []
  private(set) var descriptions: [PluginDescription] = []
  private(set) var confinement: WorkerConfinement = []

  init(_ bytes: PluginBytes, settings: IsolationSettings, store: TrustStore?) throws(ReFTError) {
    if let problem = settings.problem { throw problem }
    self.bytes = bytes
    self.settings = settings
    self.store = store
    var last: WorkerFailure?
    for attempt in 1...settings.attempts {
      do throws(WorkerFailure) {
        try start()
        break
      } catch {
        process = nil
        if case .interrupted = error { throw .workerInterrupted(bytes.file.path, what: "loading") }
        if case .notStarted(let reason) = error {
          throw .workerNotStarted(bytes.file.path, reason: "could not be started: \(reason)")
        }
        if attempt == settings.attempts { last = error }
      }
    }
    if let last { throw concludeLoading(last) }
    if let ending { throw ending }
    if !confinement.isSuperset(of: .required) {
      logger.warning(
        """
        plugin '\(bytes.file.path)' runs in a process of its own that lacks \(confinement.missing), as \
        REFT_ISOLATION_CONFINEMENT=weak allows: it could do harm
        """
      )
    }
  }

  /// The number of the running worker's process, for tests and `reft plugin list`.
  var processIdentifier: Int32? { turn.withLock { process?.identifier } }

  /// The most bytes that parameters and memory of one instance may need.
  var memoryLimit: Int { settings.memoryLimit }

  /// How often the worker was started.
  var starts: Int { turn.withLock { startCount } }

  /// Starts a worker, sees to it that it is confined, and lets it load the plugin; `ending` is set when
  /// the plugin refuses or is refused.
  private func start() throws(WorkerFailure) {
    startCount += 1
    let process = try WorkerProcess(bytes, settings: settings)
    var outcome = try confine(process)
    if case .success = outcome { outcome = try greet(process) }
    if case .failure(let error) = outcome {
      ending = error
      return
    }
    process.boundAfterLoading()
    self.process = process
  }

  /// Nothing of the plugin is in the worker's memory yet, so that its answer can be believed; what the
  /// kernel tells of the worker is asked all the same.
  private func confine(_ process: WorkerProcess) throws(WorkerFailure) -> Result<Void, ReFTError> {
    do throws(ReFTError) {
      let start = try WorkerStart(bytes, allowsLess: settings.allowsWeakConfinement)
      guard let message = try? WorkerJSON.encode(start),
        message.count <= process.memory.messageCapacity
      else { throw .workerProtocol("a start that cannot be sent") }
      process.memory.message = message
    } catch {
      return .failure(error)
    }
    try process.perform(REFT_COMMAND_CONFINE)
    if process.memory.channel.pointee.failed != 0 { return .failure(error(in: process)) }
    let reached = WorkerConfinement(rawValue: Int(process.memory.channel.pointee.confinement))
    let observed = WorkerConfinement.observed(of: process.identifier)
    confinement = reached.subtracting([.noNewPrivileges, .systemCalls])
      .union(reached.intersection(observed))
    guard confinement.isSuperset(of: .required) || settings.allowsWeakConfinement else {
      return .failure(.workerNotConfined(bytes.file.path, missing: confinement.missing))
    }
    return .success(())
  }

  /// Lets the worker load the plugin, and takes over what it says of it.
  private func greet(_ process: WorkerProcess) throws(WorkerFailure) -> Result<Void, ReFTError> {
    try process.perform(REFT_COMMAND_HELLO)
    noteRefusals(process, "loading")
    if process.memory.channel.pointee.failed != 0 { return .failure(error(in: process)) }
    guard let hello = try? WorkerJSON.decode(WorkerHello.self, process.memory.message) else {
      return .failure(.workerNonsense(bytes.file.path, "a greeting that cannot be read"))
    }
    return Result { () throws(ReFTError) in
      let found = try hello.checked(path: bytes.file.path, hash: bytes.hash)
      guard descriptions.isEmpty || descriptions == found else {
        throw .workerDisagrees(bytes.file.path)
      }
      descriptions = found
    }
  }

  private func error(in process: WorkerProcess) -> ReFTError {
    guard let answer = try? WorkerJSON.decode(WorkerError.self, process.memory.message) else {
      return .workerNonsense(bytes.file.path, "an error that cannot be read")
    }
    return answer.error
  }

  func nextInstance() -> UInt32 {
    turn.withLock {
      created += 1
      return created
    }
  }

  /// Makes one request, and once more in a new worker when the first one ends.
  ///
  /// The instance is made first where the worker does not have it; `capsule` describes the call, which
  /// is kept in a file at the last failure.
  func perform<Result>(
    _ command: UInt32,
    _ instance: IsolatedInstance.Identity,
    what: String,
    byteCount: Int = 0,
    capsule: (String) -> Capsule,
    write: (WorkerMemory) -> Void = { _ in },
    read: (WorkerMemory) throws(ReFTError) -> Result
  ) throws(ReFTError) -> Result {
    turn.lock()
    defer { turn.unlock() }
    if let ending { throw ending }
    var failure: WorkerFailure?
    for attempt in 1...settings.attempts {
      do throws(WorkerFailure) {
        if process == nil { try start() }
        guard let process, ending == nil else { break }
        try process.reserve(max(byteCount, WorkerMemory.dataOffset))
        if command != REFT_COMMAND_CREATE, !process.instances.contains(instance.number) {
          try recreate(instance, in: process)
          if let ending { throw .notStarted(ending.message) }
        }
        if command == REFT_COMMAND_CREATE {
          process.memory.message = try Self.request(instance, in: process)
        }
        write(process.memory)
        try process.perform(command, instance: instance.number)
      } catch {
        process = nil
        failure = error
        if case .notStarted = error { break }
        if case .interrupted = error { throw .workerInterrupted(instance.name, what: what) }
        if attempt < settings.attempts {
          logger.warning(
            """
            plugin '\(instance.name)': in \(what) its process \(error.description); it is \
            started again and the same call is made again
            """
          )
        }
        continue
      }
      failure = nil
      break
    }
    if let failure { throw conclude(failure, instance, what, capsule) }
    if let ending { throw ending }
    guard let process else { throw .workerProtocol("no worker") }
    noteRefusals(process, what)
    if process.memory.channel.pointee.failed != 0 { throw error(in: process) }
    if command == REFT_COMMAND_CREATE { process.instances.insert(instance.number) }
    return try read(process.memory)
  }

  /// The request for an instance, whose inputs the worker then has.
  private static func request(
    _ instance: IsolatedInstance.Identity,
    in process: WorkerProcess
  ) throws(WorkerFailure) -> Data {
    var create = instance.create
    create.inputs = try process.describe(instance.inputs)
    guard let message = try? WorkerJSON.encode(create),
      message.count <= process.memory.messageCapacity
    else { throw .notStarted("options that cannot be sent") }
    return message
  }

  /// Makes an instance in a new worker as it was in the old one.
  private func recreate(
    _ instance: IsolatedInstance.Identity,
    in process: WorkerProcess
  ) throws(WorkerFailure) {
    process.memory.message = try Self.request(instance, in: process)
    try process.perform(REFT_COMMAND_CREATE, instance: instance.number)
    if process.memory.channel.pointee.failed != 0 {
      ending = error(in: process)
      return
    }
    guard process.memory.message == instance.answer else {
      ending = .workerDisagrees(instance.name)
      return
    }
    process.instances.insert(instance.number)
  }

  /// Ends an instance, where a worker has it.
  ///
  /// Trouble on the way costs the worker and not the plugin: no result depends on it, and the other
  /// instances are made again at their next call.
  func destroy(_ instance: IsolatedInstance.Identity) {
    turn.lock()
    defer { turn.unlock() }
    guard ending == nil, let process, process.instances.remove(instance.number) != nil else {
      return
    }
    do throws(WorkerFailure) {
      try process.perform(REFT_COMMAND_DESTROY, instance: instance.number)
      noteRefusals(process, "destroy")
    } catch {
      self.process = nil
      logger.warning(
        """
        plugin '\(instance.name)': in destroy its process \(error.description); no result depends \
        on that, but `reft plugin check \(bytes.file.path)` tells its author more
        """
      )
    }
  }

  /// The second failure: the plugin is not called again.
  private func conclude(
    _ failure: WorkerFailure,
    _ instance: IsolatedInstance.Identity,
    _ what: String,
    _ capsule: (String) -> Capsule
  ) -> ReFTError {
    if let ending { return ending }
    if case .notStarted(let reason) = failure {
      return .workerNotStarted(bytes.file.path, reason: "could not be started again: \(reason)")
    }
    let reason = "in \(what) its process \(failure.description)"
    let name = instance.name
    let error: ReFTError
    if settings.isReplay {
      error = .callFailedAgain(name, reason: reason)
    } else {
      error = .workerDied(name, reason: reason, capsule: quarantine(capsule(reason), name: name))
    }
    ending = error
    return error
  }

  /// The second failure while the plugin was loaded, when nothing is known of it but its file.
  private func concludeLoading(_ failure: WorkerFailure) -> ReFTError {
    let reason = "while it was loaded its process \(failure.description)"
    let path = bytes.file.path
    guard !settings.isReplay else { return .callFailedAgain(path, reason: reason) }
    let name = (path as NSString).lastPathComponent
    let capsule = Capsule(.load, plugin: name, path: path, hash: bytes.hash, reason: reason)
    return .workerDiedLoading(path, failure: failure, capsule: quarantine(capsule, name: name))
  }

  /// Keeps a call in a file and notes that the plugin is not to be run again.
  ///
  /// - Returns: the file, or nil where there is no place for one.
  private func quarantine(_ capsule: Capsule, name: String) -> String? {
    guard let path = capsule.save(in: settings.capsuleFolder) else { return nil }
    guard let store else { return path }
    do throws(ReFTError) {
      try store.quarantine(
        hash: bytes.hash,
        name: name,
        path: bytes.file.path,
        capsule: path,
        reason: capsule.reason
      )
    } catch {
      logger.error("the quarantine of plugin '\(name)' is not recorded: \(error.message)")
    }
    return path
  }

  /// The most attempts of a plugin that are told.
  private static let noteLimit = 32

  /// What the plugin tried in vain so far, in words that follow "tried".
  var attempts: Set<String> { turn.withLock { noted } }

  /// Says once for each thing that the plugin tried it in vain.
  private func noteRefusals(_ process: WorkerProcess, _ what: String) {
    let new = process.takeTold().filter {
      noted.count < Self.noteLimit && noted.insert($0).inserted
    }
    guard !new.isEmpty else { return }
    logger.warning(
      """
      plugin '\(bytes.file.path)' tried \(new.joined(separator: ", ")) by the end of \(what); refused: a \
      plugin in a process of its own has no network, no files and no other processes
      """
    )
  }
}
