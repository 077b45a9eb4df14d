// SPDX-License-Identifier: Apache-2.0
// What the edits of a finished run change, as its report tells.

import ReFTHost
import ReFTModel
import ReFTTensor

extension Trainer {
  /// How many rows are looked at, and how many tokens: a finished run need not wait long for its report.
  private static let (tracedRows, tracedTokens) = (32, 2048)

  /// The first rows, as many as are looked at; one at least, however long.
  package static func traced(_ examples: [Example]) -> [Example] {
    var rows: [Example] = []
    var tokens = 0
    for example in examples.prefix(tracedRows) {
      tokens += example.tokenCount
      if tokens > tracedTokens, !rows.isEmpty { break }
      rows.append(example)
    }
    return rows
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
