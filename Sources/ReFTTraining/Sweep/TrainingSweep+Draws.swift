// SPDX-License-Identifier: Apache-2.0
// The draws of a random sweep: as many as were asked for, no two of them alike.

import ReFTTensor

extension TrainingSweep {
  /// How many draws in a row may be there already before there are taken to be no others; a number between
  /// two bounds is rounded to four digits, and nobody has counted those.
  private static let mostRepeats = 100_000

  /// A key with where its values come from.
  private struct Source {
    var key: String
    var draw: SweepDraw
    var origin: ConfigurationNode.Origin
  }

  /// Reads the draws: for each, a value of each key.
  ///
  /// - Throws: `badConfiguration` with the place, also where there are fewer combinations than draws.
  static func random(_ node: ConfigurationNode?) throws(ReFTError) -> [[Change]] {
    guard let node else { return [] }
    var reader = try ConfigurationReader(node, path: "random")
    guard let count = try reader.integer("count", in: 1...mostRuns) else {
      throw .missingKey("random.count", at: node.origin, purpose: "say how many draws there are")
    }
    let seed = UInt64(try reader.integer("seed", in: 0...Int.max) ?? 42)
    var sources: [Source] = []
    for entry in reader.keys where !["count", "seed"].contains(entry.key) {
      let draw = try SweepDraw(entry.value, key: "random.\(entry.key)")
      sources.append(Source(key: entry.key, draw: draw, origin: entry.value.origin))
    }
    guard !sources.isEmpty else {
      throw .configuration(
        node.origin,
        "'random' names no key to draw; add one, such as train.learning_rate: {log_uniform: [1e-4, "
          + "1e-2]}"
      )
    }
    let combinations = sources.reduce(1) { product, source in
      let (result, isLarge) = product.multipliedReportingOverflow(by: source.draw.valueCount)
      return isLarge ? .max : result
    }
    guard combinations >= count else {
      throw .tooFewToDraw(node.origin, count: count, combinations: combinations)
    }
    let patience = combinations == .max ? mostRepeats : .max
    return try distinct(sources, count: count, seed: seed, patience: patience, at: node.origin)
  }

  /// The first draws that differ; one that is there already is drawn again.
  private static func distinct(
    _ sources: [Source],
    count: Int,
    seed: UInt64,
    patience: Int,
    at origin: ConfigurationNode.Origin
  ) throws(ReFTError) -> [[Change]] {
    var draws: [[Change]] = []
    var seen: Set<[String]> = []
    var (index, repeats) = (0, 0)
    while draws.count < count {
      guard repeats < patience else {
        throw .tooFewToDraw(origin, count: count, combinations: draws.count)
      }
      let draw = sources.map { [index] source in
        Change(
          key: source.key,
          value: source.draw.value(
            seed: seed,
            key: source.key,
            index: index,
            origin: source.origin
          )
        )
      }
      index += 1
      repeats += 1
      guard seen.insert(draw.map(\.value.identity)).inserted else { continue }
      draws.append(draw)
      repeats = 0
    }
    return draws
  }
}

extension ReFTError {
  fileprivate static func tooFewToDraw(
    _ origin: ConfigurationNode.Origin,
    count: Int,
    combinations: Int
  ) -> ReFTError {
    configuration(
      origin,
      "'random.count' is \(count), and its keys have \(combinations) different "
        + "\(combinations == 1 ? "combination" : "combinations") of values; draw fewer, or give more "
        + "values"
    )
  }
}
