// SPDX-License-Identifier: Apache-2.0
// Which examples a step sees: a pure function of seed and step, so that a run can go on anywhere.

import ReFTTensor

/// The order in which the examples are seen, epoch after epoch.
package struct DataOrder {
  /// Streams of the run's seed that are no epochs.
  static let splitStream: UInt64 = .max
  static let dropoutStream: UInt64 = .max - 1

  package let exampleCount: Int
  package let batchSize: Int
  /// Mixes each epoch anew; nil keeps the order of the file.
  package let seed: UInt64?

  /// The order of a number of examples in batches of a size.
  package init(exampleCount: Int, batchSize: Int, seed: UInt64?) {
    self.exampleCount = exampleCount
    self.batchSize = batchSize
    self.seed = seed
  }

  /// Steps of one pass over all examples; the last may see fewer.
  package var stepsPerEpoch: Int { (exampleCount + batchSize - 1) / batchSize }

  /// The order of an epoch, from 0.
  package func order(epoch: Int) -> [Int] {
    guard let seed else { return Array(0..<exampleCount) }
    return CounterRandom(key: seed, step: UInt64(epoch)).permutation(of: exampleCount)
  }

  /// The examples of a step, from 0, counted over all epochs; `order` is that of the step's epoch.
  package func batch(step: Int, of order: [Int]) -> [Int] {
    let start = step % stepsPerEpoch * batchSize
    return Array(order[start..<min(start + batchSize, exampleCount)])
  }
}

/// Splits a batch into passes that fit a budget of tokens.
package enum MicroBatches {
  /// Distributes examples over as few passes as their tokens need, of near equal length.
  ///
  /// The longest go first, each to the pass that has the fewest tokens so far; equal ones keep their
  /// order. So the passes depend on the lengths alone, and none is a short rest.
  ///
  /// - Parameters:
  ///   - lengths: tokens of each example.
  ///   - budget: the most tokens of a pass; only an example that alone exceeds it breaks it.
  /// - Returns: for each pass the indices into `lengths`, ascending; passes by their first index.
  package static func split(lengths: [Int], budget: Int) -> [[Int]] {
    let alone = lengths.indices.filter { lengths[$0] > budget }.map { [$0] }
    let others = lengths.indices.filter { lengths[$0] <= budget }
    let longestFirst = others.sorted { (lengths[$1], $0) < (lengths[$0], $1) }
    let total = others.reduce(0) { $0 + lengths[$1] }
    // Without a sum that a large budget would take over the edge.
    var count = total == 0 ? 0 : (total - 1) / max(1, budget) + 1
    var passes: [[Int]] = []
    while count > 0 {
      passes = [[Int]](repeating: [], count: count)
      var sums = [Int](repeating: 0, count: count)
      for index in longestFirst {
        let target = sums.indices.min { sums[$0] < sums[$1] } ?? 0
        passes[target].append(index)
        sums[target] += lengths[index]
      }
      if sums.allSatisfy({ $0 <= budget }) { break }
      count += 1
    }
    return (alone + passes.map { $0.sorted() }).filter { !$0.isEmpty }.sorted { $0[0] < $1[0] }
  }
}
