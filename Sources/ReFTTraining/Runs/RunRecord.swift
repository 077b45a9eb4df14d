// SPDX-License-Identifier: Apache-2.0
// A run folder, read: what reports and sweeps know of a run that is over or under way.

import Foundation
package import ReFTTensor

/// What a run folder says of its run.
package struct RunRecord: Sendable {
  /// The folder.
  package var folder: String
  /// What readers call the run: the folder's name, unless told otherwise.
  package var name: String
  package var manifest: RunManifest
  /// One for each step.
  package var steps: [StepRecord]
  /// The values of its configuration by their full keys, in the order of the file.
  package var settings: [(key: String, value: String)]
  /// The text of its configuration.
  package var configuration: String

  /// What a run folder must hold to be read.
  private static let needed = "manifest.json, as `reft train` writes it"

  /// Reads a folder.
  ///
  /// - Throws: `inputMissing` where there is no run in it; `badData` where its files are broken.
  package init(folder: String) throws(ReFTError) {
    let files = RunFolder(folder)
    guard RunFolder.Kind(files.manifest) != .absent else { throw .noRun(folder, Self.needed) }
    guard case .run = files.claim() else { throw .notARun(files.manifest) }
    self.folder = folder
    name = URL(fileURLWithPath: folder).lastPathComponent
    manifest = try JSONFile.decode(path: files.manifest)
    steps = try MetricsFile.read(path: files.metrics)
    (configuration, settings) = ("", [])
    if RunFolder.Kind(files.configuration) != .absent {
      configuration = try ConfigurationText.read(path: files.configuration)
      settings = try ConfigurationNode.parse(yaml: configuration, path: files.configuration)
        .flattened()
    }
  }

  /// A run whose parts are at hand.
  init(
    folder: String,
    manifest: RunManifest,
    steps: [StepRecord],
    configuration: RunConfiguration
  ) {
    (self.folder, self.manifest, self.steps) = (folder, manifest, steps)
    name = URL(fileURLWithPath: folder).lastPathComponent
    settings = configuration.flattened()
    self.configuration = configuration.yaml()
  }

  /// A value of the configuration.
  package subscript(key: String) -> String? { settings.first { $0.key == key }?.value }

  /// The measures that the run came to, by name: `loss` of the last epoch, and at the best step
  /// `validation_loss`, those of heads and preferences, and `TASK.METRIC`.
  package var measures: [(name: String, value: Double)] {
    var result: [(String, Double)] = []
    if let loss = manifest.loss { result.append(("loss", loss)) }
    if let best = manifest.bestLoss { result.append(("validation_loss", best)) }
    for item in bestValidation?.validationMetrics?.items ?? [] {
      result.append((item.metric.rawValue, item.value))
    }
    for (name, value) in (bestValidation?.taskMetrics ?? [:]).sorted(by: { $0.key < $1.key }) {
      result.append((name, value))
    }
    return result
  }

  /// The record of the best step; before there is one, of the last validation.
  package var bestValidation: StepRecord? {
    let validated = steps.filter { $0.validationLoss != nil || $0.taskMetrics != nil }
    return validated.last { $0.step == manifest.bestStep }
      ?? validated.last { $0.validationLoss == manifest.bestLoss && manifest.bestLoss != nil }
      ?? validated.last
  }
}

extension ConfigurationNode {
  /// Every scalar by its full key.
  func flattened(at path: String = "") -> [(key: String, value: String)] {
    let prefix = path.isEmpty ? "" : path + "."
    return switch content {
    case .scalar(let text, _): [(path, text)]
    case .sequence(let items): items.enumerated().flatMap { $1.flattened(at: prefix + "\($0)") }
    case .mapping(let entries): entries.flatMap { $0.value.flattened(at: prefix + $0.key) }
    }
  }
}

extension ReFTError {
  fileprivate static func noRun(_ folder: String, _ needed: String) -> ReFTError {
    ReFTError(.inputMissing, "'\(folder)' holds no run; it needs \(needed)")
  }

  fileprivate static func notARun(_ manifest: String) -> ReFTError {
    ReFTError(.badData, "'\(manifest)' is of no run of this program; name a run folder")
  }
}
