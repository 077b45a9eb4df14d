// SPDX-License-Identifier: Apache-2.0
// What the kernels of a device edit get: one struct by value. reft_cuda.h says what its fields mean.

import ReFTModel

/// The memory of one call of a device edit; rows are dense float32.
///
/// `y` is never `x` and `dx` never `dy`. In training, `x`, `source` and `saved` stay as they are until the
/// backward call of the same rows.
package struct DeviceEditCall: Sendable {
  /// The number of rows; a call over none does nothing.
  package var rows: Int
  /// Numbers in a row.
  package var width: Int
  /// Whether a backward call follows.
  package var isTraining: Bool
  /// The rows, [rows, width].
  package var x: DevicePointer
  /// What the layer read, [rows, width], for edits that need it.
  package var source: DevicePointer?
  /// Forward: the edited rows.
  package var y: DevicePointer?
  /// Backward: d loss / d y.
  package var dy: DevicePointer?
  /// Backward: d loss / d x, overwritten.
  package var dx: DevicePointer?
  /// `program.savedCount(rows:)` floats; in inference they are free behind the call.
  package var saved: DevicePointer
  /// `program.scratchCount(rows:)` floats, undefined before and after.
  package var scratch: DevicePointer
  /// The copy of the adapter's parameters.
  package var parameters: DevicePointer
  /// Where each parameter of the edit begins there, in floats.
  package var parameterOffsets: [Int]
  /// Backward: gradients in the layout of `parameters`, added to; nil: not wanted.
  package var gradients: DevicePointer?
  /// For programs with `needsOrigins`, lists of `rows` ints one after the other: examples, positions,
  /// lengths, locations, adapters.
  package var origins: DevicePointer?

  /// Describes a call; what is not named is absent.
  package init(
    rows: Int,
    width: Int,
    isTraining: Bool,
    x: DevicePointer,
    saved: DevicePointer,
    scratch: DevicePointer,
    parameters: DevicePointer,
    parameterOffsets: [Int]
  ) {
    self.rows = rows
    self.width = width
    self.isTraining = isTraining
    self.x = x
    self.saved = saved
    self.scratch = scratch
    self.parameters = parameters
    self.parameterOffsets = parameterOffsets
  }
}

extension DeviceEditCall {
  /// The struct as a text has it before its first line; a test compares it with reft_cuda.h.
  package static let definition = """
    struct reft_cuda_call_t {
      int n; int d; int training; int reserved0;
      const float *x; const float *source; float *y; const float *dy; float *dx;
      float *saved; float *scratch;
      const float *params[16]; float *dparams[16];
      const int *example; const int *position; const int *length; const int *location;
      const int *subspace; const int *adapter;
      int ints[32]; float floats[32];
    };

    """

  /// Bytes of the struct.
  static let byteCount = 632

  /// Where the arrays and lists begin.
  private enum Offset {
    static let x = 16
    static let saved = 56
    static let parameters = 72
    static let gradients = 200
    static let origins = 328
    static let integers = 376
    static let floats = 504
  }

  /// Writes the struct; the memory has `byteCount` bytes and is aligned for pointers.
  func write(_ program: DeviceProgram, to base: UnsafeMutableRawPointer) {
    base.initializeMemory(as: UInt8.self, repeating: 0, count: Self.byteCount)
    for (index, value) in [rows, width, isTraining ? 1 : 0].enumerated() {
      base.storeBytes(of: Int32(value), toByteOffset: 4 * index, as: Int32.self)
    }
    func store(_ pointer: DevicePointer?, _ offset: Int) {
      base.storeBytes(of: pointer?.address ?? 0, toByteOffset: offset, as: UInt64.self)
    }
    store(x, Offset.x)
    store(source, Offset.x + 8)
    store(y, Offset.x + 16)
    store(dy, Offset.x + 24)
    store(dx, Offset.x + 32)
    store(saved, Offset.saved)
    store(scratch, Offset.saved + 8)
    for (index, offset) in parameterOffsets.prefix(DeviceProgram.parameterLimit).enumerated() {
      store(parameters.advanced(byBytes: 4 * offset), Offset.parameters + 8 * index)
      store(gradients?.advanced(byBytes: 4 * offset), Offset.gradients + 8 * index)
    }
    if let origins {
      for list in 0..<6 {
        store(origins.advanced(byBytes: 4 * list * rows), Offset.origins + 8 * list)
      }
    }
    for (index, value) in program.integers.prefix(DeviceProgram.numberLimit).enumerated() {
      base.storeBytes(of: value, toByteOffset: Offset.integers + 4 * index, as: Int32.self)
    }
    for (index, value) in program.floats.prefix(DeviceProgram.numberLimit).enumerated() {
      base.storeBytes(of: value, toByteOffset: Offset.floats + 4 * index, as: Float.self)
    }
  }
}
