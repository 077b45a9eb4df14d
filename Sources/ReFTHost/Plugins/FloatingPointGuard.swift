// SPDX-License-Identifier: Apache-2.0
// The floating-point control word is part of the ABI: saved before foreign code runs, compared and
// put back after it.

import CReFTPlatform

enum FloatingPointGuard {
  /// Runs foreign code; whether it left the control word changed is the second part of the result.
  @inline(__always)
  static func run<Result>(_ body: () -> Result) -> (Result, change: Change?) {
    let before = reft_system_fp_control()
    let result = body()
    let after = reft_system_fp_control()
    guard before != after else { return (result, nil) }
    reft_system_set_fp_control(before)
    return (result, Change(before: before, after: after))
  }

  /// A control word that foreign code changed.
  struct Change {
    var before: UInt64
    var after: UInt64

    /// What was changed, in words.
    var description: String {
      reft_system_fp_flushes(after) != reft_system_fp_flushes(before)
        ? "turned flush-to-zero of tiny numbers on or off"
        : "changed rounding or exceptions of floating-point arithmetic"
    }
  }
}
