// SPDX-License-Identifier: Apache-2.0
// The tokens of a batch that one intervention edits, with what a plugin may ask of each.

import ReFTTensor

/// Parallel lists, one entry per edited token, in the order of the batch.
final class RowSet {
  private(set) var tokens: [Int32] = []
  private(set) var examples: [Int32] = []
  private(set) var positions: [Int32] = []
  private(set) var lengths: [Int32] = []
  private(set) var locations: [Int32] = []
  private(set) var adapters: [Int32] = []
  /// Which sequence of the batch each token belongs to.
  private(set) var sequences: [Int] = []

  var count: Int { tokens.count }

  func append(_ edited: EditedPosition, of sequence: SequenceEdit, index: Int, adapter: Int) {
    tokens.append(Int32(sequence.start + edited.position - sequence.position))
    examples.append(sequence.example ?? Int32(truncatingIfNeeded: index))
    positions.append(Int32(edited.position))
    lengths.append(Int32(sequence.promptLength))
    locations.append(Int32(truncatingIfNeeded: edited.location))
    adapters.append(Int32(adapter))
    sequences.append(index)
  }

  /// Moves each token, a decoded one, to the next position of its sequence.
  func advance() {
    for index in positions.indices {
      positions[index] += 1
      locations[index] += 1
    }
  }
}

extension RowSet {
  /// Hands out the lists; valid until the closure returns.
  func withPointers(_ body: (PluginRows) throws(ReFTError) -> Void) throws(ReFTError) {
    var result = PluginRows()
    try examples.withUnsafeBufferPointer { list throws(ReFTError) in
      result.example = list.baseAddress
      try positions.withUnsafeBufferPointer { list throws(ReFTError) in
        result.position = list.baseAddress
        try lengths.withUnsafeBufferPointer { list throws(ReFTError) in
          result.length = list.baseAddress
          try locations.withUnsafeBufferPointer { list throws(ReFTError) in
            result.location = list.baseAddress
            try adapters.withUnsafeBufferPointer { list throws(ReFTError) in
              result.adapter = list.baseAddress
              try body(result)
            }
          }
        }
      }
    }
  }
}
