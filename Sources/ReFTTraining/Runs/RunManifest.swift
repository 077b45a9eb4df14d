// SPDX-License-Identifier: Apache-2.0
// manifest.json of a run folder as readers see it; writing it is in `Trainer+Results`.

import ReFTTensor

/// What a run's manifest says; what older runs did not write is nil.
package struct RunManifest: Codable, Sendable {
  /// The model of the run.
  package struct Model: Codable, Sendable {
    package var path: String
    package var name: String
    package var fingerprint: String
  }

  /// What became of the rows of a file.
  package struct Rows: Codable, Sendable {
    package var path: String
    package var hash: String
    package var rows: Int
    package var examples: Int
    package var cut: Int
    package var skipped: Int
    package var tokens: Int
    package var labels: Int
    /// Rows of which some position rule edits no token.
    package var unedited: Int?
  }

  /// The files of the run.
  package struct Data: Codable, Sendable {
    package var train: Rows
    package var validation: Rows?
  }

  /// How much the edits of a site change, over some rows.
  package struct Change: Codable, Sendable {
    package var block: Int
    package var component: String
    /// Edited tokens.
    package var tokens: Int
    /// The mean of ‖Δh‖/‖h‖ over them.
    package var mean: Double
    package var largest: Double
  }

  package var status: String
  package var updated: String?
  package var kernels: String?
  package var model: Model?
  package var data: Data?
  package var step: Int?
  package var steps: Int?
  package var trainableParameters: Int?
  package var loss: Double?
  package var bestLoss: Double?
  package var bestStep: Int?
  package var bestMetric: [String: Double]?
  package var seconds: Double?
  package var tokensPerSecond: Double?
  package var peakRssBytes: Int?
  package var pluginShares: [String: Double]?
  /// What the trained edits change, by site.
  package var changes: [Change]?

  package enum CodingKeys: String, CodingKey {
    case status, updated, kernels, model, data, step, steps, loss, seconds, changes
    case trainableParameters = "trainable_parameters"
    case bestLoss = "best_loss"
    case bestStep = "best_step"
    case bestMetric = "best_metric"
    case tokensPerSecond = "tokens_per_second"
    case peakRssBytes = "peak_rss_bytes"
    case pluginShares = "plugin_shares"
  }

  /// Whether the run came to its end.
  package var isFinished: Bool { status == "finished" }
}
