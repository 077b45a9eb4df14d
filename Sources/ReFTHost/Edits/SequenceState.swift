// SPDX-License-Identifier: Apache-2.0
// What plugins keep of one sequence between its prompt and its last token.

import ReFTTensor

/// The states of a sequence: a small buffer for each edit that asked for one, zero at the start.
///
/// Who runs a sequence in several passes makes one of these and hands it to each `SequenceEdit`. Not
/// thread-safe: passes over a sequence come one after the other.
public final class SequenceState: @unchecked Sendable {
  // Sendable: used by one pass at a time, as the sequence's keys and values are.
  private struct Buffer {
    let unit: AdapterUnit
    let now: FloatBuffer
    let before: FloatBuffer
  }
  private var buffers: [ObjectIdentifier: Buffer] = [:]

  /// The state of a sequence of which nothing was read yet.
  public init() {}

  /// The state that an edit keeps, made at the first call.
  func memory(of unit: AdapterUnit, byteCount: Int) -> UnsafeMutableRawPointer {
    let key = ObjectIdentifier(unit)
    if let known = buffers[key] { return UnsafeMutableRawPointer(known.now.base) }
    let count = byteCount / 4 + 1
    let made = Buffer(
      unit: unit,
      now: FloatBuffer(count: count),
      before: FloatBuffer(count: count)
    )
    buffers[key] = made
    return UnsafeMutableRawPointer(made.now.base)
  }

  /// Notes the states before a pass.
  public func save() {
    for buffer in buffers.values {
      buffer.before.base.update(from: buffer.now.base, count: buffer.now.count)
    }
  }

  /// Goes back to the states before the pass, which failed.
  public func restore() {
    for buffer in buffers.values {
      buffer.now.base.update(from: buffer.before.base, count: buffer.now.count)
    }
  }
}

/// The state of one sequence at one edit, as the rows of a call are told of it.
final class EditState {
  private let table: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  private let memory: UnsafeMutableRawPointer
  private let byteCount: Int
  /// Kept where nobody else keeps it: then each forward call begins a sequence.
  private let own: SequenceState?

  init(of unit: AdapterUnit, rows: Int, byteCount: Int, in given: SequenceState?) {
    own = given == nil ? SequenceState() : nil
    memory = (given ?? own ?? SequenceState()).memory(of: unit, byteCount: byteCount)
    self.byteCount = byteCount
    table = .allocate(capacity: max(1, rows))
    table.initialize(repeating: memory, count: max(1, rows))
  }

  deinit { table.deallocate() }

  /// Gives a forward call the state of its rows' sequence.
  func add(to call: inout PluginCall) {
    if own != nil { memory.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount) }
    call.states = UnsafePointer(table)
    call.stateByteCount = byteCount
  }
}
