// SPDX-License-Identifier: Apache-2.0
// A stranger's plugin is checked before anybody trusts it, so the process of a rule gives up what no
// plugin needs: network, files to write, other processes.

import CReFTPlatform
import Glibc

/// The limits of this process, and whether a plugin ran against them.
struct Confinement {
  // Allocated once and never freed: the filter's signal handler writes to it.
  private let refused: UnsafeMutablePointer<UInt32>

  /// Whether this kernel can confine processes at all.
  static var isAvailable: Bool { reft_confinement_available() == 1 }

  /// Gives up the rights for good.
  static func begin() -> Confinement {
    let word = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
    word.initialize(to: 0)
    _ = reft_confine(REFT_ALLOW_READING | REFT_ALLOW_CHECKING, word)
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
