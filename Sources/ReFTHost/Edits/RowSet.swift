// SPDX-License-Identifier: Apache-2.0
// The tokens of a batch that one intervention edits, with what a plugin may ask of each.

import ReFTTensor

/// Parallel lists, one entry per edited token, in the order of the batch.
package final class RowSet {
  private(set) var tokens: [Int32] = []
  private(set) var positions: [Int32] = []
  private(set) var lengths: [Int32] = []
  /// Which of the rule's locations; −1 for decoded tokens, and where the rule lists none.
  private(set) var locations: [Int32] = []
  /// The location as ABI 1.0 has it: a running number, and the position of decoded tokens.
  private(set) var runningLocations: [Int32] = []
  private(set) var adapters: [Int32] = []
  private(set) var decoded: [Int32] = []
  /// The subspace of each token's sequence; −1 for all.
  private(set) var subspaces: [Int32] = []
  /// What names the sequence of each token in any batch.
  private(set) var keys: [Int64] = []
  /// Which sequence of the batch each token belongs to.
  private(set) var sequences: [Int] = []
  /// What each token's sequence has of a source prompt.
  private(set) var counterparts: [CounterpartRows?] = []

  private var made: RowLists?

  /// The lists as plugins get them, made when they are first asked for.
  var lists: RowLists {
    if let made { return made }
    let lists = RowLists(of: self)
    made = lists
    return lists
  }

  /// How many tokens there are.
  package var count: Int { tokens.count }

  /// No tokens yet.
  package init() {}

  /// Takes in a token of a sequence; `locationCount` says how many locations the rule lists.
  package func append(
    _ edited: EditedPosition,
    of sequence: SequenceEdit,
    index: Int,
    adapter: Int,
    locationCount: Int
  ) {
    let isDecoded = edited.position >= sequence.promptLength
    tokens.append(Int32(sequence.start + edited.position - sequence.position))
    positions.append(Int32(edited.position))
    lengths.append(Int32(sequence.promptLength))
    locations.append(
      isDecoded || locationCount == 0 ? -1 : Int32(truncatingIfNeeded: edited.location)
    )
    runningLocations.append(Int32(truncatingIfNeeded: edited.location))
    adapters.append(Int32(adapter))
    decoded.append(isDecoded ? 1 : 0)
    subspaces.append(sequence.subspace ?? -1)
    keys.append(sequence.key ?? Int64(sequence.example ?? Int32(truncatingIfNeeded: index)))
    sequences.append(index)
    counterparts.append(sequence.counterpart)
  }

  /// The sequence as ABI 1.0 has it.
  func example(_ row: Int, minor: Int) -> Int32 {
    minor == 0 ? Int32(truncatingIfNeeded: keys[row]) : Int32(truncatingIfNeeded: sequences[row])
  }

  /// Moves each token, a decoded one, to the next position of its sequence.
  func advance() {
    for index in positions.indices {
      positions[index] += 1
      runningLocations[index] += 1
    }
    made?.advance()
  }
}

/// The lists of some rows in memory that plugins can be given.
package final class RowLists {
  private let count: Int
  private let numbers: UnsafeMutablePointer<Int32>
  private let keys: UnsafeMutablePointer<Int64>

  /// Which list stands where in `numbers`.
  private enum List: Int, CaseIterable {
    case sequence, key, position, length, location, runningLocation, subspace, adapter, decoded
  }

  /// The lists of a set, or of those of its rows that are present.
  package init(of set: RowSet, places: UnsafeBufferPointer<Int32>? = nil) {
    let count = places?.count ?? set.count
    self.count = count
    numbers = .allocate(capacity: max(1, List.allCases.count * count))
    keys = .allocate(capacity: max(1, count))
    for index in 0..<count {
      let row = places.map { Int($0[index]) } ?? index
      (keys + index).initialize(to: set.keys[row])
      for list in List.allCases {
        let value =
          switch list {
          case .sequence: Int32(truncatingIfNeeded: set.sequences[row])
          case .key: Int32(truncatingIfNeeded: set.keys[row])
          case .position: set.positions[row]
          case .length: set.lengths[row]
          case .location: set.locations[row]
          case .runningLocation: set.runningLocations[row]
          case .subspace: set.subspaces[row]
          case .adapter: set.adapters[row]
          case .decoded: set.decoded[row]
          }
        (numbers + list.rawValue * count + index).initialize(to: value)
      }
    }
  }

  deinit {
    numbers.deallocate()
    keys.deallocate()
  }

  private func start(_ list: List) -> UnsafeMutablePointer<Int32> {
    numbers + list.rawValue * count
  }

  /// As `RowSet.advance`.
  package func advance() {
    for index in 0..<count {
      start(.position)[index] += 1
      start(.runningLocation)[index] += 1
    }
  }

  /// What a plugin of a minor version of the ABI is told; valid while this object lives.
  package func origins(minor: Int) -> PluginRows {
    var rows = PluginRows()
    rows.example = UnsafePointer(start(minor == 0 ? .key : .sequence))
    rows.position = UnsafePointer(start(.position))
    rows.length = UnsafePointer(start(.length))
    rows.location = UnsafePointer(start(minor == 0 ? .runningLocation : .location))
    rows.subspace = UnsafePointer(start(.subspace))
    rows.adapter = UnsafePointer(start(.adapter))
    rows.decoded = UnsafePointer(start(.decoded))
    rows.key = UnsafePointer(keys)
    return rows
  }
}
