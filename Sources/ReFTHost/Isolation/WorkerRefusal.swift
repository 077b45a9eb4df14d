// SPDX-License-Identifier: Apache-2.0
// What the host answers a worker that makes a call which its filter does not allow by itself.

import CReFTPlatform
import Foundation

/// What the host decides about a call of a worker.
enum WorkerRefusal: Hashable {
  /// It is made.
  case allowed
  /// It fails, and nobody is blamed: libraries ask for it without need.
  case quiet(Int32)
  /// It fails, and this is told: words that follow "tried".
  case told(Int32, String)

  /// The code that the call fails with; 0: it does not.
  var code: Int32 {
    switch self {
    case .allowed: 0
    case .quiet(let code), .told(let code, _): code
    }
  }
}

/// The rules by which a host decides.
struct WorkerRules: Sendable {
  /// What the plugin was resolved to need.
  let openPaths: Set<String>
  /// The numbers of the sealed copies that the worker was given.
  let sealedDescriptors: Range<Int32>
  /// The process.
  var process: pid_t = 0
  /// The most threads that it may have.
  var threadLimit = Int.max

  /// Where the C library and the runtimes look without need.
  private static let usualPaths = [
    "/sys/devices/system/cpu", "/sys/devices/system/node", "/sys/fs/cgroup", "/sys/kernel/mm",
    "/proc/sys/vm", "/proc/self/maps", "/proc/self/cgroup", "/proc/self/status", "/proc/self/stat",
    "/proc/stat", "/proc/cpuinfo", "/proc/meminfo", "/proc/filesystems", "/etc/localtime",
    "/etc/ld.so.cache", "/etc/ld.so.preload", "/usr/share/zoneinfo", "/usr/share/locale",
    "/usr/lib/locale", "/usr/lib/x86_64-linux-gnu/gconv", "/usr/lib/aarch64-linux-gnu/gconv",
    "/dev/tty", "/dev/urandom", "/dev/random", "/etc/openblas", "/etc/malloc.conf",
  ]
  private static let threadFlag: UInt64 = 0x10000
  private static let emptyPathFlag: UInt64 = 0x1000

  /// Decides about one call.
  func decide(_ notice: reft_notice_t) -> WorkerRefusal {
    let arguments = notice.arguments
    switch notice.number {
    case reft_call_clone where arguments.0 & Self.threadFlag != 0:
      return decideThread()
    case reft_call_openat:
      return decideOpening(notice, path: 1, flags: arguments.2)
    case reft_call_open:
      return decideOpening(notice, path: 0, flags: arguments.1)
    case reft_call_newfstatat where arguments.3 & Self.emptyPathFlag != 0:
      // What is open already, and not what a path leads to.
      switch text(notice, 1) {
      case .readable(""), .forbidden: return .allowed
      case .readable, .missing: return .quiet(EACCES)
      }
    default: break
    }
    let name = reft_system_call_name(notice.number).map { String(cString: $0) }
    return .told(EPERM, "the system call '\(name ?? "number \(notice.number)")'")
  }

  private func decideThread() -> WorkerRefusal {
    var bounds = reft_worker_bounds_t()
    guard reft_worker_bounds(process, &bounds) == 0, Int(bounds.threads) < threadLimit else {
      return .told(EAGAIN, "to have more than \(threadLimit) threads")
    }
    return .allowed
  }

  private func decideOpening(
    _ notice: reft_notice_t,
    path argument: Int32,
    flags: UInt64
  ) -> WorkerRefusal {
    let isWriting = flags & UInt64(O_WRONLY | O_RDWR | O_CREAT | O_TRUNC) != 0
    let path: String
    switch text(notice, argument) {
    case .readable(let text): path = text
    case .missing: return .quiet(EFAULT)
    // Where this machine lets nobody look, Landlock alone decides.
    case .forbidden: return isWriting ? .told(EACCES, "to write a file") : .allowed
    }
    if !isWriting, openPaths.contains(path) || isSealed(path) { return .allowed }
    if !isWriting, Self.usualPaths.contains(where: { path == $0 || path.hasPrefix($0 + "/") }) {
      return .quiet(EACCES)
    }
    // The dynamic linker looks for what it needs in many folders.
    if !isWriting,
      openPaths.contains(where: { $0.hasSuffix("/" + (path as NSString).lastPathComponent) })
    {
      return .quiet(ENOENT)
    }
    let shown = ForeignText.line(String(path.prefix(200)))
    return .told(EACCES, "to \(isWriting ? "write" : "open") '\(shown)'")
  }

  private func isSealed(_ path: String) -> Bool {
    let start = "/proc/self/fd/"
    guard path.hasPrefix(start), let number = Int32(path.dropFirst(start.count)) else {
      return false
    }
    return sealedDescriptors.contains(number)
  }

  /// What an argument of a call points to.
  private enum Text {
    case readable(String)
    /// Nothing that could be a text.
    case missing
    /// The machine does not let this process look into its children.
    case forbidden
  }

  private func text(_ notice: reft_notice_t, _ argument: Int32) -> Text {
    var notice = notice
    var buffer = [CChar](repeating: 0, count: 4096)
    switch reft_notice_path(&notice, argument, &buffer, buffer.count) {
    case 0: break
    case -EPERM, -EACCES, -ENOSYS: return .forbidden
    default: return .missing
    }
    let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return .readable(String(decoding: bytes, as: UTF8.self))
  }
}
