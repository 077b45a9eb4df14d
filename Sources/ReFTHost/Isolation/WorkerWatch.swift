// SPDX-License-Identifier: Apache-2.0
// The thread of the host that a worker is a child of. It starts the worker, decides about the calls that
// the worker's filter asks about, and reads what the worker prints. It lives as long as the worker: the
// kernel ends a worker when the thread that started it ends.

import CReFTPlatform
import Foundation
import Glibc
import Synchronization

/// Starts one worker and attends to it.
final class WorkerWatch: Sendable {
  /// How a worker is started.
  struct Launch: Sendable {
    let executable: String
    let arguments: [String]
    let environment: [String]
    /// What the worker gets as descriptors 3, 4, …; the second one is its end of `socket`.
    let descriptors: [Int32]
    /// This side's end of the socket by which the worker sends its filter's listener.
    let socket: Int32
    /// How the plugin's file is called in messages.
    let name: String
    let rules: WorkerRules
    let threadLimit: Int
  }

  private struct State {
    var process: pid_t = 0
    var error: Int32 = 0
    var told: [String] = []
  }

  private let state = Mutex(State())
  private let started = DispatchSemaphore(value: 0)
  private let ended = DispatchSemaphore(value: 0)
  private let hasTold = Atomic(false)
  private let launch: Launch

  init(_ launch: Launch) { self.launch = launch }

  /// The worker's end of the socket, in this process; to be closed once the worker has started.
  var workerSocket: Int32 { launch.descriptors[1] }

  /// Starts the worker.
  ///
  /// - Throws: `.notStarted`.
  /// - Returns: its number.
  func start() throws(WorkerFailure) -> pid_t {
    let thread = Thread { self.run() }
    thread.stackSize = 512 << 10
    thread.start()
    started.wait()
    let (process, error) = state.withLock { ($0.process, $0.error) }
    guard error == 0 else { throw .notStarted(String(cString: strerror(error))) }
    return process
  }

  /// What the worker tried in vain since the last time, in words that follow "tried".
  func takeTold() -> [String] {
    guard hasTold.exchange(false, ordering: .relaxed) else { return [] }
    return state.withLock { state in
      defer { state.told = [] }
      return state.told
    }
  }

  /// Waits until everything that the ended worker printed is shown, but not for ever: the thread is not
  /// needed any more.
  func finish() { _ = ended.wait(timeout: .now() + 1) }

  private func run() {
    defer { ended.signal() }
    var ends: [Int32] = [-1, -1]
    let piped = reft_probe_pipe(&ends)
    guard piped == 0 else { return fail(-piped) }
    var process: pid_t = 0
    let status = CStrings.with([launch.executable] + launch.arguments) { arguments in
      CStrings.with(launch.environment) { environment in
        reft_worker_spawn(
          launch.executable,
          arguments,
          environment,
          ends[1],
          launch.descriptors,
          Int32(launch.descriptors.count),
          &process
        )
      }
    }
    close(ends[1])
    guard status == 0 else {
      close(ends[0])
      return fail(-status)
    }
    let end = reft_worker_end_descriptor(process)
    state.withLock { $0.process = process }
    started.signal()
    attend(process, output: ends[0], end: end)
    if end >= 0 { close(end) }
  }

  private func fail(_ error: Int32) {
    state.withLock { $0.error = error }
    started.signal()
  }

  /// Serves the worker until it has ended.
  private func attend(_ process: pid_t, output: Int32, end: Int32) {
    var rules = launch.rules
    rules.process = process
    var printed = WorkerOutput(name: launch.name)
    var polls = [end, output, launch.socket, -1].map {
      pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
    }
    defer {
      printed.end()
      for descriptor in [polls[1].fd, launch.socket, polls[3].fd] where descriptor >= 0 {
        close(descriptor)
      }
    }
    while true {
      // Where nobody asks about threads, they are counted now and then.
      let ready = poll(&polls, 4, polls[3].fd < 0 ? 200 : -1)
      if ready == 0 { endCrowd(process) }
      if polls[1].revents != 0, !read(output, &printed) {
        // The worker gets an error for what it prints from now on.
        close(output)
        polls[1].fd = -1
      }
      if polls[2].revents != 0 {
        polls[2].fd = -1
        polls[3].fd = reft_socket_receive(launch.socket)
        rules.threadLimit = Int(threadCount(process)) + launch.threadLimit
      }
      if polls[3].revents & Int16(POLLIN) != 0 { decide(polls[3].fd, rules) }
      if polls[3].revents & Int16(POLLHUP) != 0 {
        close(polls[3].fd)
        polls[3].fd = -1
      }
      if polls[0].revents != 0 || (end < 0 && polls[1].fd < 0) {
        if polls[1].fd >= 0 { _ = read(output, &printed) }
        return
      }
    }
  }

  /// Reads what is there; false at the end and when nothing more is wanted.
  private func read(_ output: Int32, _ printed: inout WorkerOutput) -> Bool {
    var chunk = [UInt8](repeating: 0, count: 1 << 14)
    while true {
      let count = Glibc.read(output, &chunk, chunk.count)
      if count < 0 { return errno == EAGAIN || errno == EINTR }
      guard count > 0, printed.take(chunk[..<count]) else { return false }
    }
  }

  private func decide(_ listener: Int32, _ rules: WorkerRules) {
    var notice = reft_notice_t()
    guard reft_notice_receive(listener, &notice) == 0 else { return }
    let decision = rules.decide(notice)
    if case .told(_, let what) = decision {
      state.withLock { state in
        if state.told.count < 64, !state.told.contains(what) { state.told.append(what) }
      }
      hasTold.store(true, ordering: .relaxed)
    }
    _ = reft_notice_answer(listener, &notice, decision.code)
  }

  private func threadCount(_ process: pid_t) -> Int32 {
    var bounds = reft_worker_bounds_t()
    return reft_worker_bounds(process, &bounds) == 0 ? bounds.threads : 0
  }

  private func endCrowd(_ process: pid_t) {
    // Of the host's own threads in the worker there may be as many as processors.
    guard
      Int(threadCount(process)) > launch.threadLimit + 2 * ProcessInfo.processInfo.processorCount
    else { return }
    state.withLock { $0.told.append("to have more than \(launch.threadLimit) threads") }
    hasTold.store(true, ordering: .relaxed)
    _ = reft_worker_kill(process)
  }
}

/// Texts as C wants them.
enum CStrings {
  /// Hands out an array of pointers with a NULL at its end; valid until the closure returns.
  static func with<Result>(
    _ strings: [String],
    _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
  ) -> Result {
    let copies = strings.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    return body(copies + [nil])
  }
}
