// SPDX-License-Identifier: Apache-2.0
// Runs one rule in a child process with its own process group, reads what it reports, and kills the
// group when time is up. The child's side is `ConformanceChild`.

import CReFTPlatform
import Glibc
import ReFTHost
import ReFTTensor

/// What a child process reported and how it ended.
struct RuleProcess {
  var outcome: (status: RuleStatus, message: String)?
  var breadcrumb = ""
  var crashNote = ""
  var plugins: [String] = []
  var servedInputs: [String: Int] = [:]
  /// The option that the plugin does not take, in a sentence.
  var wrongOption: String?
  /// Whether an outcome without the seal was reported.
  var isForged = false
  var output = ""
  var exitStatus: Int32?
  var signal: Int32?
  var timedOut = false
  var seconds = 0.0
  var processorSeconds = 0.0
  /// The most bytes that were in memory at once.
  var memoryPeak = 0

  /// Runs the executable on a specimen and collects its report.
  static func run(
    executable: String,
    _ order: ConformanceChild.Order,
    on specimen: Specimen
  ) throws(ReFTError) -> RuleProcess {
    let report = try Pipe()
    let output = try Pipe()
    let seal = VerdictSeal.make()
    let sealing = try Pipe()
    sealing.send(seal)
    var pid: pid_t = 0
    var handed: [(from: Int32, to: Int32)] = [
      (sealing.reader, ConformanceChild.sealDescriptor), (output.writer, 1), (output.writer, 2),
      (report.writer, ConformanceChild.reportDescriptor),
      (specimen.bytes.file.descriptor, ConformanceChild.fileDescriptor),
    ]
    if let library = specimen.bytes.library {
      handed.append((library.descriptor, ConformanceChild.libraryDescriptor))
    }
    let code = spawn(executable, order.arguments, handed, pid: &pid)
    report.closeWriter()
    output.closeWriter()
    guard code == 0 else {
      throw ReFTError(
        .internalFault,
        "Cannot start \(executable) for a rule of the plugin check: \(errorText(code))."
      )
    }
    return collect(pid, report, output, timeoutSeconds: order.limit, seal: seal)
  }

  /// Starts the executable with descriptors of this process under other numbers.
  private static func spawn(
    _ executable: String,
    _ arguments: [String],
    _ handed: [(from: Int32, to: Int32)],
    pid: inout pid_t
  ) -> Int32 {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    // From numbers above all targets, so that none is overwritten before it is handed on.
    let sources = handed.map { fcntl($0.from, F_DUPFD_CLOEXEC, 16) }
    defer { for source in sources where source >= 0 { close(source) } }
    for (source, target) in zip(sources, handed.map(\.to)) {
      guard source >= 0 else { return errno }
      posix_spawn_file_actions_adddup2(&actions, source, target)
    }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes,
      Int16(POSIX_SPAWN_SETPGROUP) | Int16(POSIX_SPAWN_SETSIGMASK)
    )
    let environment = childEnvironment()
    return withCStrings([executable] + arguments) { arguments in
      withCStrings(environment) { environment in
        posix_spawn(&pid, executable, &actions, &attributes, arguments, environment)
      }
    }
  }

  // The child must crash plainly and quickly: no backtrace helper, and a fixed locale.
  private static func childEnvironment() -> [String] {
    var list = ["SWIFT_BACKTRACE=enable=no", "LC_ALL=C"]
    var entry = environ
    while let text = entry.pointee {
      let line = String(cString: text)
      if !line.hasPrefix("SWIFT_BACKTRACE=") && !line.hasPrefix("LC_ALL=") { list.append(line) }
      entry += 1
    }
    return list
  }

  private static func collect(
    _ pid: pid_t,
    _ report: Pipe,
    _ output: Pipe,
    timeoutSeconds: Double,
    seal: [UInt8]
  ) -> RuleProcess {
    var result = RuleProcess()
    let start = monotonicSeconds()
    var looked = start
    var status: Int32 = 0
    var usage = rusage()
    while true {
      var polls = [
        pollfd(fd: report.reader, events: Int16(POLLIN), revents: 0),
        pollfd(fd: output.reader, events: Int16(POLLIN), revents: 0),
      ]
      // A closed pipe must not make the loop spin.
      if report.isClosed { polls[0].fd = -1 }
      if output.isClosed { polls[1].fd = -1 }
      poll(&polls, 2, report.isClosed && output.isClosed ? 1 : 20)
      report.drain()
      output.drain()
      // Children may report without a pause; looking each time would cost more than their rules.
      if monotonicSeconds() - looked > 0.01 {
        looked = monotonicSeconds()
        result.memoryPeak = max(result.memoryPeak, heldMost(pid))
      }
      if wait4(pid, &status, WNOHANG, &usage) == pid { break }
      if monotonicSeconds() - start > timeoutSeconds {
        result.timedOut = true
        kill(-pid, SIGKILL)
        wait4(pid, &status, 0, &usage)
        break
      }
    }
    kill(-pid, SIGKILL)  // Whatever the plugin started goes with its rule.
    report.drain()
    output.drain()
    result.seconds = monotonicSeconds() - start
    result.processorSeconds =
      Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
      + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6
    result.memoryPeak = max(result.memoryPeak, peak(usage))
    if status & 0x7f == 0 {
      result.exitStatus = (status >> 8) & 0xff
    } else {
      result.signal = status & 0x7f
    }
    result.output = String(decoding: output.bytes, as: UTF8.self)
    result.read(report.bytes, seal: seal)
    return result
  }

  /// The most memory that a running child has held, in bytes; 0 where that cannot be read.
  private static func heldMost(_ pid: pid_t) -> Int {
    let file = open("/proc/\(pid)/status", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return 0 }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = max(0, Glibc.read(file, &bytes, bytes.count))
    let status = String(decoding: bytes[..<count], as: UTF8.self)
    guard let line = status.firstMatch(of: /VmHWM:\s*(\d+) kB/) else { return 0 }
    return (Int(line.1) ?? 0) << 10
  }

  /// The most memory that a child held, in bytes; 0 where that cannot be told, since a child begins
  /// with the size of its parent.
  private static func peak(_ usage: rusage) -> Int {
    var own = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &own)
    return usage.ru_maxrss > own.ru_maxrss ? Int(usage.ru_maxrss) << 10 : 0
  }

  private mutating func read(_ bytes: [UInt8], seal: [UInt8]) {
    for line in bytes.split(separator: 10) {
      guard let kind = line.first else { continue }
      let text = String(decoding: line.dropFirst(), as: UTF8.self)
      switch kind {
      case UInt8(ascii: "@"): breadcrumb = text
      case UInt8(ascii: "!"): crashNote = text
      case UInt8(ascii: "+"), UInt8(ascii: "~"), UInt8(ascii: "?"), UInt8(ascii: "="):
        guard line.dropFirst().starts(with: seal + [32]) else {
          isForged = true
          continue
        }
        let said = String(text.dropFirst(seal.count + 1))
        switch kind {
        case UInt8(ascii: "+"): plugins.append(said)
        case UInt8(ascii: "~"): servedInputs.note(served: said)
        case UInt8(ascii: "?"): wrongOption = said
        default: readOutcome(said)
        }
      default: break
      }
    }
  }

  private mutating func readOutcome(_ text: String) {
    let parts = text.split(separator: " ", maxSplits: 1).map(String.init)
    if let name = parts.first, let status = RuleStatus(rawValue: name) {
      outcome = (status, parts.count > 1 ? parts[1] : "")
    }
  }
}

/// A pipe whose reading end never blocks.
private final class Pipe {
  let reader: Int32
  private(set) var writer: Int32
  private(set) var bytes: [UInt8] = []
  private(set) var isClosed = false

  init() throws(ReFTError) {
    var ends: [Int32] = [-1, -1]
    let code = reft_probe_pipe(&ends)
    guard code == 0 else {
      throw ReFTError(.internalFault, "Cannot make a pipe for a rule: \(errorText(-code)).")
    }
    reader = ends[0]
    writer = ends[1]
  }

  /// Writes a few bytes, for which a pipe always has room.
  func send(_ bytes: [UInt8]) {
    _ = bytes.withUnsafeBytes { write(writer, $0.baseAddress, $0.count) }
    closeWriter()
  }

  func closeWriter() {
    if writer >= 0 { close(writer) }
    writer = -1
  }

  func drain() {
    guard !isClosed else { return }
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let n = read(reader, &chunk, chunk.count)
      if n > 0 {
        if bytes.count < 1 << 22 { bytes += chunk[..<n] }
      } else {
        if n == 0 { isClosed = true }
        return
      }
    }
  }

  deinit {
    closeWriter()
    close(reader)
  }
}

private func withCStrings<R>(
  _ list: [String],
  _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R
) -> R {
  var pointers: [UnsafeMutablePointer<CChar>?] = list.map { strdup($0) }
  pointers.append(nil)
  defer { for pointer in pointers { free(pointer) } }
  return body(pointers)
}

func monotonicSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

func errorText(_ code: Int32) -> String { String(cString: strerror(code)) }
