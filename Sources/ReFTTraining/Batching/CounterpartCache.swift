// SPDX-License-Identifier: Apache-2.0
// What the frozen model computes of source prompts is the same in every epoch: kept here.

package import ReFTHost

/// The rows of source prompts, for each example that was seen while there was room.
///
/// They are as the model computed them, so a run with the cache has the bits of a run without. What
/// exceeds the room is computed again each time it is asked for.
package final class CounterpartCache {
  private let room: CacheRoom
  private var taken = 0
  private var kept: [Int: CounterpartRows] = [:]

  /// An empty cache.
  package init(room: CacheRoom) { self.room = room }

  deinit { room.give(taken) }

  /// The rows of some examples' source prompts, from the cache where it has them.
  ///
  /// - Parameters:
  ///   - keys: names each example, the same in every epoch.
  ///   - prompts: the tokens of their source prompts.
  ///   - compute: makes those of the prompts that are missing.
  /// - Returns: the rows of each example.
  /// - Throws: what `compute` throws.
  package func rows(
    keys: [Int],
    prompts: [[Int32]],
    compute: ([[Int32]]) throws -> [CounterpartRows]
  ) throws -> [CounterpartRows] {
    let missing = keys.indices.filter { kept[keys[$0]] == nil }
    var fresh: [Int: CounterpartRows] = [:]
    if !missing.isEmpty {
      for (index, rows) in zip(missing, try compute(missing.map { prompts[$0] })) {
        fresh[keys[index]] = rows
        keep(rows, keys[index])
      }
    }
    return keys.compactMap { kept[$0] ?? fresh[$0] }
  }

  private func keep(_ rows: CounterpartRows, _ key: Int) {
    guard room.has(rows.byteCount) else { return }
    room.take(rows.byteCount)
    taken += rows.byteCount
    kept[key] = rows
  }
}
