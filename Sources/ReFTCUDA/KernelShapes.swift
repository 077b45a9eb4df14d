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
  ///   - operand: the bytes of x where the kernel makes its own of it, else 0.
  /// - Returns: bytes of dynamic shared memory.
  package static func productBytes(
    groups: Int,
    unitBytes: Int,
    stages: Int,
    rows: Int,
    operand: Int
  ) -> Int {
    groups * 8 * stages * unitBytes + 2 * groups * 8 * 16 * rows * 4 + operand
  }

  /// The bytes of rows that `product.cu` norms for plain weights.
  package static func normedBytes(rows: Int, columns: Int) -> Int {
    rows * ((columns + 63) / 64 * 64 + 32) * 2
  }

  /// The bytes of rows in digits, for products whose units have so many columns.
  package static func digitBytes(rows: Int, columns: Int, unitColumns: Int) -> Int {
    let padded = (columns + unitColumns - 1) / unitColumns * unitColumns
    return rows * (2 * (padded + 16) + 2 * padded / 32 * 4)
  }

  /// Two tiles of 16 rows.
  private static func floatBytes(head: Int) -> Int { 2 * 16 * (head + 4) * 4 }
}
