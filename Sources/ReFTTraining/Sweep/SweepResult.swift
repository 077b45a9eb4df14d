// SPDX-License-Identifier: Apache-2.0
// What one run of a sweep came to: a line of results.jsonl.

import Foundation
public import ReFTTensor

/// The result of one run.
public struct SweepResult: Codable, Sendable {
  /// How a run ended.
  public enum Status: String, Codable, Sendable {
    /// It has its adapter, and its evaluations.
    case finished
    /// An error ended it.
    case failed
    /// Its turn has not come, or it was interrupted.
    case waiting
  }

  /// The run's name.
  public var name: String
  /// How it ended.
  public var status: Status
  /// The values that it has and others have not.
  public var settings: [TrainingSweep.Setting]
  /// Its seed, where the sweep names seeds.
  public var seed: UInt64?
  /// What it came to, by the measures' names.
  public var metrics: [String: Double]
  /// Standard errors of the measures that have one.
  public var standardErrors: [String: Double]?
  /// Wall time of its steps.
  public var seconds: Double?
  /// Training tokens over that time.
  public var tokensPerSecond: Double?
  /// The most memory that the process held meanwhile.
  public var peakRssBytes: Int?
  /// Values that the optimiser changed.
  public var trainableParameters: Int?
  /// The tasks that it was evaluated on.
  public var tasks: [String]?
  /// Why it failed.
  public var error: String?
  /// The kind of that error, for the exit status; not in the file.
  public var code: ReFTError.Code?
  /// The run folder.
  public var folder: String

  enum CodingKeys: String, CodingKey {
    case name, status, settings, seed, metrics, seconds, tasks, error, folder
    case standardErrors = "standard_errors"
    case tokensPerSecond = "tokens_per_second"
    case peakRssBytes = "peak_rss_bytes"
    case trainableParameters = "trainable_parameters"
  }

  /// A run of which nothing is known yet.
  init(_ run: TrainingSweep.Run, status: Status = .waiting, error: String? = nil) {
    (name, settings, seed) = (run.name, run.settings, run.seed)
    (self.status, self.error, folder) = (status, error, run.configuration.output)
    metrics = [:]
  }

  /// A run that is over, as its folder tells.
  init(_ run: TrainingSweep.Run, _ record: RunRecord) {
    self.init(run, status: .finished)
    metrics = Dictionary(record.measures, uniquingKeysWith: { first, _ in first })
    seconds = record.manifest.seconds
    tokensPerSecond = record.manifest.tokensPerSecond
    peakRssBytes = record.manifest.peakRssBytes
    trainableParameters = record.manifest.trainableParameters
  }

  /// Adds what evaluations measured.
  mutating func add(_ measures: [SweepMeasure]) {
    for measure in measures {
      metrics[measure.name] = measure.value
      guard let error = measure.standardError else { continue }
      standardErrors = (standardErrors ?? [:]).merging([measure.name: error]) { $1 }
    }
  }

  /// Adds the evaluations that an earlier call of the sweep made.
  mutating func add(_ old: SweepResult) {
    guard old.status == .finished else { return }
    metrics.merge(old.metrics) { now, _ in now }
    (standardErrors, tasks) = (old.standardErrors, old.tasks)
  }

  /// What runs that differ in the seed alone have in common.
  var group: String { settings.map { "\($0.name)=\($0.value)" }.joined(separator: ",") }
}

extension SweepResult {
  /// The lines of a results file; none where there is no file.
  ///
  /// - Throws: `badData` naming the line that is none of a sweep's.
  public static func read(path: String) throws(ReFTError) -> [SweepResult] {
    guard FileManager.default.fileExists(atPath: path) else { return [] }
    var results: [SweepResult] = []
    let bytes = try TextFile.bytes(path: path, limit: JSONFile.limit)
    for line in bytes.split(separator: 0x0A) {
      results.append(try JSONFile.decode(Array(line), path: path))
    }
    return results
  }

  /// Writes a results file, a line for each run.
  static func write(_ results: [SweepResult], to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let lines = try results.map { String(decoding: try encoder.encode($0), as: UTF8.self) + "\n" }
    try AtomicFile.write(lines.joined(), to: path)
  }
}
