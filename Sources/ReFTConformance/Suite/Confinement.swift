// SPDX-License-Identifier: Apache-2.0
// A stranger's plugin is checked before anybody trusts it, so the process of a rule gives up what no
// plugin needs: network, files, other processes. What it keeps beyond a worker is what the rules do
// around a plugin: sealed copies in memory, looking for children, reading about itself and the
// system's libraries.

import CReFTPlatform
import Glibc

/// The limits of this process, and whether a plugin ran against them.
struct Confinement {
  // Allocated once and never freed: the filter's signal handler writes to it.
  private let refused: UnsafeMutablePointer<UInt32>

  /// Whether this kernel can confine processes at all.
  static var isAvailable: Bool {
    reft_confinement_filters() == 1 && reft_landlock_version() > 0
  }

  /// Where the system's libraries are, and what a process may know of itself.
  private static let systemPaths = [
    "/proc/self", "/etc/ld.so.cache", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/dev/null",
  ]
  /// Variables that change numbers or messages; the others stay with the parent.
  private static let keptVariables = ["LC_ALL", "SWIFT_BACKTRACE", "REFT_KERNELS", "REFT_THREADS"]

  /// Gives up the rights for good; this must be the only thread.
  ///
  /// - Returns: what tells whether the plugin tried more.
  static func begin() -> Confinement {
    let word = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
    word.initialize(to: 0)
    let kept = keptVariables.compactMap { name in
      getenv(name).map { (name, String(cString: $0)) }
    }
    reft_worker_forget_environment()
    for (name, value) in kept { setenv(name, value, 1) }
    var files: [Int32] = []
    for path in systemPaths {
      let descriptor = reft_system_open_name(path)
      if descriptor >= 0 { files.append(descriptor) }
    }
    let isAvailable = isAvailable
    let bounded = reft_landlock_read_only(files, Int32(files.count))
    // The descriptor of /proc/self stays: it keeps the kernel from forgetting that folder.
    for descriptor in files.dropFirst() { close(descriptor) }
    let filtered = reft_confine_checking(word)
    // What the machine has and does not do is no reason to go on without it.
    if isAvailable, bounded != 0 || filtered != 0 { _exit(70) }
    return Confinement(refused: word)
  }

  /// Turns a success into a warning where the plugin tried what it may not.
  func judged(_ result: (status: RuleStatus, message: String)) -> (
    status: RuleStatus, message: String
  ) {
    guard result.status == .passed, refused.pointee != 0 else { return result }
    let number = refused.pointee - 1
    let name = reft_system_call_name(number).map { String(cString: $0) } ?? "number \(number)"
    return (
      .warning,
      "It tried the system call '\(name)', which was refused: a plugin opens no connections, writes no "
        + "files and starts no processes."
    )
  }
}
