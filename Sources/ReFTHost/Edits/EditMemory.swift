// SPDX-License-Identifier: Apache-2.0
// Memory that all calls of a session share, since they happen one after the other.

import ReFTTensor

/// Buffers large enough for the largest call of a session, and for marks behind its rows.
final class EditMemory {
  private(set) var x = FloatBuffer(count: 0)
  private(set) var y = FloatBuffer(count: 0)
  private(set) var scratch = FloatBuffer(count: 0)

  /// Takes the memory, once the edits are known.
  ///
  /// - Throws: `inputOutput` when the system has no such memory.
  func reserve(floats: Int, scratchBytes: Int) throws(ReFTError) {
    let purpose = MemoryPurpose(
      "the rows and the scratch memory of edits",
      remedy: "edit fewer positions, or use fewer tokens in a pass"
    )
    x = try FloatBuffer(reserving: floats + OutputGuard.count, for: purpose)
    y = try FloatBuffer(reserving: floats + OutputGuard.count, for: purpose)
    scratch = try FloatBuffer(reserving: scratchBytes / 4 + 1, for: purpose)
  }
}
