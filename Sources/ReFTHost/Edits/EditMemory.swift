// SPDX-License-Identifier: Apache-2.0
// Memory that all calls of a session share, since they happen one after the other.

import ReFTTensor

/// Buffers large enough for the largest call of a session, and for marks behind its rows.
final class EditMemory {
  let x: FloatBuffer
  let y: FloatBuffer
  let scratch: FloatBuffer
  /// For each row of a tensor, the last search that met it.
  private var stamps: [UInt32] = []
  private var stamp: UInt32 = 0

  /// - Throws: `inputOutput` when the system has no such memory.
  init(floats: Int, scratchBytes: Int) throws(ReFTError) {
    let purpose = MemoryPurpose(
      "the rows and the scratch memory of edits",
      remedy: "edit fewer positions, or use fewer tokens in a pass"
    )
    x = try FloatBuffer(reserving: floats + OutputGuard.count, for: purpose)
    y = try FloatBuffer(reserving: floats + OutputGuard.count, for: purpose)
    scratch = try FloatBuffer(reserving: scratchBytes / 4 + 1, for: purpose)
  }

  /// Begins a search through the rows of one tensor.
  func beginRows() { stamp += 1 }

  /// Whether a row is computed and was not met in this search yet.
  func isNewRow(_ row: Int32) -> Bool {
    guard row >= 0 else { return false }
    let index = Int(row)
    while stamps.count <= index { stamps.append(0) }
    if stamps[index] == stamp { return false }
    stamps[index] = stamp
    return true
  }
}
