// SPDX-License-Identifier: Apache-2.0
// States of sequences in guarded memory, zero at the start.

import CReFTPlugin
import Glibc

/// The states of the sequences of one call or of several.
final class StateMemory {
  /// One for each sequence, from the first on.
  let buffers: [GuardedBuffer]

  /// Makes the states that rows at these places need; nil for a plugin without a state.
  init?(_ subject: Subject, places: [Int], side: GuardedBuffer.Side = .end) throws {
    let byteCount = Int(subject.workspace.state_bytes_per_sequence)
    guard byteCount > 0 else { return nil }
    let count = (places.map(RowPlaces.sequence).max() ?? 0) + 1
    buffers = try (0..<count).map { _ in
      try GuardedBuffer("state", byteCount: byteCount, alignment: 64, side: side)
    }
  }

  /// The table of a call: one pointer per row.
  func table(places: [Int]) throws -> GuardedBuffer {
    let table = try GuardedBuffer("states", byteCount: places.count * 8, alignment: 8)
    let list = table.base.bindMemory(to: UnsafeMutableRawPointer?.self, capacity: places.count)
    for (row, place) in places.enumerated() { list[row] = buffers[RowPlaces.sequence(place)].base }
    table.makeReadOnly()
    return table
  }

  /// What was written beside the states.
  var findings: [Finding] {
    buffers.compactMap { buffer in
      buffer.strayWrite.map { .stray(buffer: buffer.name, offset: $0) }
    }
  }
}
