// SPDX-License-Identifier: Apache-2.0
// The parts of the process that a plugin must leave alone, for comparison before and after.

import CReFTPlatform
import Glibc

/// What the process looks like at one moment.
struct ProcessState {
  var floatControl: UInt32
  var x87Control: UInt16
  var handlers: [Int32: UInt]
  var mask: [Bool]
  var threads: Int
  var locale: String

  /// Takes the picture.
  static func now() -> ProcessState {
    var environment = fenv_t()
    fegetenv(&environment)
    #if arch(x86_64)
    // The low six bits are sticky exception flags that ordinary arithmetic sets.
    let control = environment.__mxcsr & ~0x3F
    let x87 = environment.__control_word
    #else
    let control = environment.__fpcr
    let x87: UInt16 = 0
    #endif
    var handlers: [Int32: UInt] = [:]
    for signal in Int32(1)...31 where signal != SIGKILL && signal != SIGSTOP {
      var action = sigaction()
      sigaction(signal, nil, &action)
      handlers[signal] = unsafeBitCast(action.__sigaction_handler.sa_sigaction, to: UInt.self)
    }
    var blocked = sigset_t()
    pthread_sigmask(SIG_BLOCK, nil, &blocked)
    return ProcessState(
      floatControl: control,
      x87Control: x87,
      handlers: handlers,
      mask: (1...31).map { sigismember(&blocked, Int32($0)) == 1 },
      threads: threadCount(),
      locale: setlocale(LC_ALL, nil).map { String(cString: $0) } ?? ""
    )
  }

  private static func threadCount() -> Int {
    guard let folder = opendir("/proc/self/task") else { return 0 }
    defer { closedir(folder) }
    var count = 0
    while let entry = readdir(folder) {
      if entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { count += 1 }
    }
    return count
  }

  /// What about floating point differs from `before`, in words.
  func floatChange(since before: ProcessState) -> String? {
    guard floatControl != before.floatControl || x87Control != before.x87Control else { return nil }
    var parts: [String] = []
    #if arch(x86_64)
    let changed = floatControl ^ before.floatControl
    if changed & 0x8000 != 0 { parts.append("flush-to-zero") }
    if changed & 0x0040 != 0 { parts.append("denormals-are-zero") }
    if changed & 0x6000 != 0 { parts.append("the rounding mode") }
    if changed & 0x1F80 != 0 { parts.append("the exception mask") }
    #endif
    if parts.isEmpty { parts.append("the control word") }
    return "\(parts.joined(separator: " and ")) changed (control word "
      + "0x\(String(before.floatControl, radix: 16)) to 0x\(String(floatControl, radix: 16)))"
  }

  /// Which signal handlers or masks differ from `before`, in words.
  func signalChange(since before: ProcessState) -> String? {
    let changed = handlers.keys.sorted().filter { handlers[$0] != before.handlers[$0] }
    if let first = changed.first {
      return "the handler of \(signalName(first)) was replaced"
        + (changed.count > 1 ? ", and \(changed.count - 1) more" : "")
    }
    if mask != before.mask { return "the signal mask was changed" }
    return nil
  }
}

/// Bytes in use in the C library's heap.
func heapBytes() -> Int {
  Int(reft_probe_heap_bytes())
}
