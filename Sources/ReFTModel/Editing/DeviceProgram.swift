// SPDX-License-Identifier: Apache-2.0
// The device form of an edit: kernels that edit rows where the model runs. ReFTHost makes it from what a
// plugin offers, a runtime on a device launches it; neither knows the other.

package import ReFTTensor

/// The kernels of one edit, in CUDA C, with the memory that they need beside rows and parameters.
///
/// Rows are float32. All kernels have one signature, `extern "C" __global__ void name(reft_cuda_call_t)`;
/// docs/abi.md, "Device forms", has what they may do. Two programs that are equal compute the same.
package struct DeviceProgram: Sendable, Hashable {
  /// One launch.
  package struct Kernel: Sendable, Hashable {
    /// What the blocks of a launch share out in their x direction.
    package enum Share: Sendable, Hashable {
      /// Nothing: there is one block.
      case nothing
      /// The rows of the call.
      case rows
      /// The numbers of a row.
      case columns
    }

    /// The name of the function in the source.
    package var name: String
    /// What its blocks share out.
    package var share: Share
    /// How many rows or columns one block takes, at least 1.
    package var tile: Int
    /// Blocks in the y direction, 1 to 65535.
    package var layers: Int
    /// Threads of a block, a multiple of 32 up to 1024.
    package var threads: Int
    /// Bytes of shared memory of a block beside what the function declares, up to 48 KiB.
    package var sharedByteCount: Int

    /// Describes a launch.
    package init(
      name: String,
      share: Share,
      tile: Int = 1,
      layers: Int = 1,
      threads: Int = 256,
      sharedByteCount: Int = 0
    ) {
      self.name = name
      self.share = share
      self.tile = tile
      self.layers = layers
      self.threads = threads
      self.sharedByteCount = sharedByteCount
    }

    /// The blocks of a launch over some rows; none where there are none.
    package func grid(rows: Int, width: Int) -> (x: Int, y: Int) {
      switch share {
      case .nothing: (rows > 0 ? 1 : 0, layers)
      case .rows: ((rows + tile - 1) / tile, layers)
      case .columns: (rows > 0 ? (width + tile - 1) / tile : 0, layers)
      }
    }
  }

  /// The name of the plugin that brings it, for messages.
  package var plugin: String
  /// The text of all its functions, without the definition of `reft_cuda_call_t`.
  package var source: String
  /// What makes y of x, in order.
  package var forward: [Kernel]
  /// What makes dx of dy and adds to the gradients, in order; empty where only inference is served.
  package var backward: [Kernel]
  /// Floats that forward leaves for the backward of the same rows, for each row.
  package var savedPerRow: Int
  /// Floats whose contents are undefined at the start of each call, for each row.
  package var scratchPerRow: Int
  /// The same, once for a call.
  package var scratchFixed: Int
  /// What the kernels find in `ints`; at most `numberLimit`.
  package var integers: [Int32]
  /// What the kernels find in `floats`; at most `numberLimit`.
  package var floats: [Float]
  /// Whether its kernels look at where rows come from.
  package var needsOrigins: Bool

  /// The most numbers in `integers`, and in `floats`.
  package static let numberLimit = 32
  /// The most parameters of an edit with a device form.
  package static let parameterLimit = 16

  /// Describes a program.
  package init(
    plugin: String,
    source: String,
    forward: [Kernel],
    backward: [Kernel] = [],
    savedPerRow: Int = 0,
    scratchPerRow: Int = 0,
    scratchFixed: Int = 0,
    integers: [Int32] = [],
    floats: [Float] = [],
    needsOrigins: Bool = false
  ) {
    self.plugin = plugin
    self.source = source
    self.forward = forward
    self.backward = backward
    self.savedPerRow = savedPerRow
    self.scratchPerRow = scratchPerRow
    self.scratchFixed = scratchFixed
    self.integers = integers
    self.floats = floats
    self.needsOrigins = needsOrigins
  }

  /// The text by its length alone: programs of one plugin differ in their numbers.
  package func hash(into hasher: inout Hasher) {
    hasher.combine(source.utf8.count)
    hasher.combine(integers)
    hasher.combine(floats)
  }

  /// Floats of `saved` for some rows.
  package func savedCount(rows: Int) -> Int { savedPerRow * rows }

  /// Floats of `scratch` for some rows.
  package func scratchCount(rows: Int) -> Int { scratchPerRow * rows + scratchFixed }
}

/// The parameters of one adapter, as they are copied to a device: one run of memory of this process.
package protocol DeviceParameters: AnyObject, Sendable {
  /// All values, gaps between tensors included; valid for the life of the object.
  var deviceValues: UnsafeBufferPointer<Float> { get }
  /// Grows when somebody may have written values since it was last read; read it before the values.
  var revision: Int { get }
}

/// Where the rows of an edit come from: one entry for each of its tokens.
package struct DeviceOrigins {
  /// Which sequence of the batch.
  package var examples: [Int32]
  /// The token's position in it.
  package var positions: [Int32]
  /// The length of its prompt.
  package var lengths: [Int32]
  /// The index of the edited location.
  package var locations: [Int32]
  /// Which subspace its sequence is edited in; −1 for all.
  package var subspaces: [Int32]
  /// Which adapter of the batch.
  package var adapters: [Int32]

  /// Takes the lists, which have the same length.
  package init(
    examples: [Int32],
    positions: [Int32],
    lengths: [Int32],
    locations: [Int32],
    subspaces: [Int32],
    adapters: [Int32]
  ) {
    self.examples = examples
    self.positions = positions
    self.lengths = lengths
    self.locations = locations
    self.subspaces = subspaces
    self.adapters = adapters
  }
}

/// An edit that may have a device form beside its host form.
///
/// A pass uses one of the two forms, forward and backward alike. The device form adds to gradients that lie
/// on the device in the layout of `parameters`; the runtime adds them to `gradients` at the end of the way
/// back. As an edit of the host, it leaves rows to the runtime that do not take part.
package protocol DeviceRowEdit: RowEdit {
  /// The device form of this pass, inference or training as `isTraining` says; nil: there is none, and
  /// the host form is meant.
  ///
  /// - Throws: `misbehaved` when the plugin describes something that cannot be launched.
  func deviceProgram() throws -> DeviceProgram?
  /// Whether a way back follows.
  var isTraining: Bool { get }
  /// The parameters of the adapter; equal adapters of several edits are one object.
  var parameters: any DeviceParameters { get }
  /// Where in `parameters` each parameter of the edit begins, in floats.
  var parameterOffsets: [Int] { get }
  /// Where the gradients go, in the layout of `parameters`; nil in inference.
  var gradients: UnsafeMutableBufferPointer<Float>? { get }
  /// Where the rows come from, for programs with `needsOrigins`.
  var origins: DeviceOrigins { get }
  /// The error of a call whose device form left numbers that are not finite.
  func notFinite(in call: String) -> ReFTError
}
