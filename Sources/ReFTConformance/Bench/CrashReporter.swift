// SPDX-License-Identifier: Apache-2.0
// Says, from within the handler of a fatal signal, which buffer was touched and where. It only reads
// tables that were filled beforehand and writes bytes; then the signal takes its course.

import Glibc

/// The fatal signals that a plugin may die of.
let fatalSignals = [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP]

private struct Region {
  var start: UInt = 0
  var end: UInt = 0
  var base: UInt = 0
  var byteCount: UInt = 0
  var name: UnsafeMutablePointer<CChar>?
}

// Read by the signal handler, which may interrupt any thread: plain memory, never reallocated.
private let capacity = 4096
nonisolated(unsafe) private let regions: UnsafeMutablePointer<Region> = {
  let table = UnsafeMutablePointer<Region>.allocate(capacity: capacity)
  table.initialize(repeating: Region(), count: capacity)
  return table
}()
nonisolated(unsafe) private var reportTo: Int32 = -1
nonisolated(unsafe) private var freeSlots: [Int] = []
nonisolated(unsafe) private var nextSlot = 0
nonisolated(unsafe) private let line = UnsafeMutablePointer<UInt8>.allocate(capacity: 512)
nonisolated(unsafe) private let lock: UnsafeMutablePointer<pthread_mutex_t> = {
  let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  pthread_mutex_init(lock, nil)
  return lock
}()

enum CrashReporter {
  /// Catches the fatal signals of this process, on a stack of their own.
  static func install(descriptor: Int32) {
    reportTo = descriptor
    _ = regions
    line.initialize(repeating: 0, count: 512)
    let size = 1 << 16
    var stack = stack_t()
    stack.ss_sp = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
    stack.ss_size = size
    sigaltstack(&stack, nil)
    for signal in fatalSignals {
      var action = sigaction()
      action.__sigaction_handler.sa_sigaction = { signal, info, _ in
        report(signal, info)
        var plain = sigaction()
        plain.__sigaction_handler.sa_handler = nil
        sigaction(signal, &plain, nil)
        raise(signal)
      }
      action.sa_flags = SA_SIGINFO | SA_ONSTACK | Int32(bitPattern: UInt32(SA_NODEFER))
      sigaction(signal, &action, nil)
    }
  }

  static func register(
    _ mapping: UnsafeMutableRawPointer,
    _ size: Int,
    base: UnsafeMutableRawPointer,
    byteCount: Int,
    name: String
  ) -> Int {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    let slot: Int
    if let free = freeSlots.popLast() {
      slot = free
    } else {
      guard nextSlot < capacity else { return -1 }
      slot = nextSlot
      nextSlot += 1
    }
    regions[slot] = Region(
      start: UInt(bitPattern: mapping),
      end: UInt(bitPattern: mapping) + UInt(size),
      base: UInt(bitPattern: base),
      byteCount: UInt(byteCount),
      name: strdup(name)
    )
    return slot
  }

  static func unregister(_ slot: Int) {
    guard slot >= 0 else { return }
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    free(regions[slot].name)
    regions[slot] = Region()
    freeSlots.append(slot)
  }
}

// Everything below runs inside a signal handler.

private func report(_ signal: Int32, _ info: UnsafeMutablePointer<siginfo_t>?) {
  guard reportTo >= 0, let info, signal == SIGSEGV || signal == SIGBUS else { return }
  let address = UInt(bitPattern: info.pointee._sifields._sigfault.si_addr)
  var length = 0
  put("!", &length)
  for index in 0..<capacity {
    let region = regions[index]
    guard let name = region.name, address >= region.start, address < region.end else { continue }
    if address >= region.base + region.byteCount {
      put(address - region.base - region.byteCount, &length)
      put(" bytes past the end of `", &length)
    } else if address < region.base {
      put(region.base - address, &length)
      put(" bytes before the start of `", &length)
    } else {
      put("a forbidden access ", &length)
      put(address - region.base, &length)
      put(" bytes into `", &length)
    }
    var at = 0
    while name[at] != 0, length < 400 {
      line[length] = UInt8(bitPattern: name[at])
      length += 1
      at += 1
    }
    put("` of ", &length)
    put(region.byteCount, &length)
    put(" bytes", &length)
    finish(length)
    return
  }
  if address < 4096 {
    put("an access through a null pointer, offset ", &length)
    put(address, &length)
  } else {
    put("an access to an address outside all buffers", &length)
  }
  finish(length)
}

private func finish(_ length: Int) {
  line[length] = 10
  _ = write(reportTo, line, length + 1)
}

private func put(_ text: StaticString, _ length: inout Int) {
  var index = 0
  while index < text.utf8CodeUnitCount, length < 480 {
    line[length] = text.utf8Start[index]
    length += 1
    index += 1
  }
}

private func put(_ number: UInt, _ length: inout Int) {
  var divisor: UInt = 1
  while number / divisor >= 10 { divisor *= 10 }
  while divisor > 0 {
    line[length] = UInt8(truncatingIfNeeded: 48 + number / divisor % 10)
    length += 1
    divisor /= 10
  }
}
