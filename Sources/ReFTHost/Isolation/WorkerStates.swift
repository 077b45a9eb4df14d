// SPDX-License-Identifier: Apache-2.0
// The states of sequences on their way to a worker and back: those of a call's rows, each once.

import Foundation

/// The states that the rows of a call have.
struct WorkerStates {
  private let pointers: [UnsafeMutableRawPointer]
  /// Which of them each row has.
  let index: [Int32]
  private let stateByteCount: Int

  /// Collects them; nil for a call without states.
  init?(_ call: PluginCall) {
    guard let states = call.states, call.stateByteCount > 0 else { return nil }
    var pointers: [UnsafeMutableRawPointer] = []
    var places: [UnsafeMutableRawPointer: Int32] = [:]
    index = (0..<call.rows).map { row in
      guard let state = states[row] else { return -1 }
      if let last = pointers.last, last == state { return Int32(pointers.count - 1) }
      if let known = places[state] { return known }
      places[state] = Int32(pointers.count)
      pointers.append(state)
      return Int32(pointers.count - 1)
    }
    self.pointers = pointers
    stateByteCount = call.stateByteCount
  }

  private var stride: Int { WorkerLayout.rounded(stateByteCount) }

  /// Bytes of all of them.
  var byteCount: Int { stride * pointers.count }

  /// Copies them to shared memory.
  func write(to place: UnsafeMutableRawPointer) {
    for (number, state) in pointers.enumerated() {
      memcpy(place + number * stride, state, stateByteCount)
    }
  }

  /// Copies what a call that succeeded made of them.
  func read(from place: UnsafeMutableRawPointer) {
    for (number, state) in pointers.enumerated() {
      memcpy(state, place + number * stride, stateByteCount)
    }
  }

  /// All of them end to end, as the numbers that have the same bits.
  var floats: [Float] {
    let size = (stateByteCount + 3) / 4
    return pointers.flatMap { state in
      [Float](unsafeUninitializedCapacity: size) { values, count in
        values.initialize(repeating: 0)
        values.baseAddress.map { _ = memcpy($0, state, stateByteCount) }
        count = size
      }
    }
  }
}
