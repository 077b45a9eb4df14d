// SPDX-License-Identifier: Apache-2.0
// Memory that belongs to the calling thread, by what it is used for.

import CReFTKernels

/// Memory that belongs to the calling thread and is reused by its next call.
enum ThreadScratch {
  /// What the memory holds.
  ///
  /// Uses that never meet on one thread share memory; those of one kernel have different numbers.
  struct Use {
    fileprivate let slot: Int

    /// Expanded rows of a weight, where its rows are read one by one.
    static let weightRows = Use(slot: 0)
    /// A weight packed in panels.
    static let weightPanels = Use(slot: 0)
    /// Rows of a weight on their way into panels.
    static let unpackedRows = Use(slot: 1)
    /// Columns of a weight on their way into rows.
    static let weightColumns = Use(slot: 2)
    /// Rows of a weight, rounded.
    static let roundedRows = Use(slot: 1)
    /// Sums of a product that is added afterwards.
    static let productSums = Use(slot: 0)
    /// Gates and ups of some rows and columns.
    static let gateSums = Use(slot: 3)
    /// Rounded activations of decoded rows.
    static let activations = Use(slot: 6)

    /// Rows that an update of low rank reads, without what dropout leaves out.
    static let updateRows = Use(slot: 2)
    /// Sums of such an update.
    static let updateSums = Use(slot: 3)

    /// Keys of one head, one after the other.
    static let keys = Use(slot: 0)
    /// Values of one head, one after the other.
    static let values = Use(slot: 1)
    /// Keys, values, queries and gradients of one head in panels.
    static let headPanels = Use(slot: 2)
    /// Values of one head in panels; on the way back weights and their gradients.
    static let valuePanels = Use(slot: 3)
    /// Weights and their gradients on the way back.
    static let attentionWeights = Use(slot: 3)
    /// Scores of a block of queries.
    static let scores = Use(slot: 4)
    /// Weights or their gradients, transposed.
    static let transposed = Use(slot: 4)
    /// A piece's queries, split.
    static let queryTiles = Use(slot: 5)
    /// Weights of a block, split.
    static let weightTiles = Use(slot: 6)
    /// The largest scores and the sums of a piece's rows.
    static let rowSums = Use(slot: 7)
    /// Gradients of one head's keys and values.
    static let headSums = Use(slot: 5)
    /// Unjoined parts of decoded rows' attention.
    static let attentionParts = Use(slot: 7)
    /// Gradients of one row's normed heads.
    static let headGradients = Use(slot: 0)

    /// Expanded rows of the head's matrix, and their mean.
    static let headRows = Use(slot: 0)
    /// The same in panels.
    static let headRowPanels = Use(slot: 1)
    /// Logits of a chunk of the vocabulary.
    static let logits = Use(slot: 2)
    /// Words of a chunk that count, with their probabilities.
    static let chosenWords = Use(slot: 3)
    /// Limits and sums of label rows.
    static let rowLimits = Use(slot: 5)
    /// Averages of rows that are spread over many words.
    static let rowAverages = Use(slot: 6)
  }

  /// At least `count` floats for a use; contents are undefined.
  static func floats(_ count: Int, _ use: Use) -> UnsafeMutablePointer<Float> {
    // Many threads are in the middle of a product here; passes ask for room before they begin.
    guard let memory = reft_thread_scratch(use.slot, count) else { reft_no_memory(count * 4) }
    return memory
  }
}
