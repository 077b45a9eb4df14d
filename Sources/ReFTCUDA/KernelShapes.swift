// SPDX-License-Identifier: Apache-2.0
// Sizes that kernels and those who launch them agree on; the other side is in `Kernels/`.

/// How kernels are launched where that is not one block a row.
package enum KernelShapes {
  /// Query or key rows of one block of attention.
  package static let attentionTile = 64
  /// Threads of a block of attention.
  package static let attentionThreads = 128
  /// Heads up to this size have attention.
  package static let largestHead = 256

  /// A head's size as `REFT_HEAD` wants it.
  package static func paddedHead(_ size: Int) -> Int { (size + 15) / 16 * 16 }

  /// The shared memory of a block of `attention_forward`.
  ///
  /// - Parameters:
  ///   - head: the padded size of a head.
  ///   - isBFloat16: whether activations are.
  /// - Returns: bytes of dynamic shared memory; more than 48 KiB wants the function's limit raised.
  package static func attentionForwardBytes(head: Int, isBFloat16: Bool) -> Int {
    guard isBFloat16 else { return floatBytes(head: head) }
    return 2 * 64 * (head + 8) * 2
  }

  /// The shared memory of a block of `attention_backward_queries` and `attention_backward_keys`.
  ///
  /// - Parameters:
  ///   - head: the padded size of a head.
  ///   - isBFloat16: whether activations are.
  /// - Returns: bytes of dynamic shared memory; more than 48 KiB wants the function's limit raised.
  package static func attentionBackwardBytes(head: Int, isBFloat16: Bool) -> Int {
    guard isBFloat16 else { return floatBytes(head: head) + 2 * 16 * 4 }
    let step = head <= 64 ? 64 : 32
    return 2 * (attentionTile + step) * (head + 8) * 2 + 2 * step * 4
  }

  /// Rows of a matrix, with those that kernels of few rows read beside the last.
  package static func paddedRows(_ rows: Int) -> Int { (rows + 15) / 16 * 16 }

  /// Threads that share a tile of `product.cu`.
  package static let groupThreads = 256
  /// Bytes of a unit of a plain matrix, and how many a warp has under way.
  package static let (plainUnitBytes, plainStages) = (2048, 4)

  /// The shared memory of a block of `product.cu`.
  ///
  /// - Parameters:
  ///   - groups: groups of eight warps.
  ///   - unitBytes: what a warp reads at once.
  ///   - stages: how many of these it has room for.
  ///   - rows: rows of x.
  ///   - normed: their width where the kernel norms them, else 0.
  /// - Returns: bytes of dynamic shared memory.
  package static func productBytes(
    groups: Int,
    unitBytes: Int,
    stages: Int,
    rows: Int,
    normed: Int
  ) -> Int {
    let parts = 2 * groups * 8 * 16 * rows * 4
    let x = normed == 0 ? 0 : rows * ((normed + 63) / 64 * 64 + 32) * 2
    return groups * 8 * stages * unitBytes + parts + x
  }

  /// Two tiles of 16 rows.
  private static func floatBytes(head: Int) -> Int { 2 * 16 * (head + 4) * 4 }
}
