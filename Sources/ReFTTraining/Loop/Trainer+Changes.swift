// SPDX-License-Identifier: Apache-2.0
// What the edits of a finished run change, as its report tells.

import ReFTHost
import ReFTModel
import ReFTTensor

extension Trainer {
  /// The rows that are looked at: the first ones, at most 32, and no more than 2,048 tokens of them, so that a
  /// finished run need not wait for its report; but one row at least.
  package static func traced(_ examples: [Example]) -> [Example] {
    var left = 2048
    return Array(
      examples.prefix(32).enumerated().prefix { index, example in
        left -= example.tokenCount
        return index == 0 || left >= 0
      }.map(\.element)
    )
  }

  /// Runs some rows, of validation where there are some, and measures what the adapter changes.
  ///
  /// - Returns: a summary of each site; none where nothing is edited.
  /// - Throws: what model and plugins throw.
  func changes(_ run: TrainingRun) throws -> [SiteChange] {
    guard !run.adapter.specs.isEmpty else { return [] }
    let data = run.data.validation ?? run.data.training
    let rows = Self.traced(data.examples)
    let trace = EditTrace()
    run.runner.trace = trace
    defer { run.runner.trace = nil }
    // Keys of their own: no row of the cache is one of these.
    _ = try run.runner.losses(rows, keys: rows.indices.map { -1 - $0 }, usesCache: false)
    return trace.summaries
  }
}

extension SiteChange {
  /// As manifests have it.
  var json: JSONValue {
    .object([
      "block": .int(Int64(site.block)), "component": .string(site.component.rawValue),
      "tokens": .int(Int64(tokens)), "mean": .double(mean), "largest": .double(largest),
    ])
  }
}
