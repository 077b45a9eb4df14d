// SPDX-License-Identifier: Apache-2.0
// What a run leaves behind: the adapter, the manifest, the report.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor

extension Trainer {
  /// Writes the adapter and the report, and marks the run as finished.
  func finish(
    _ run: TrainingRun,
    observer: (TrainingEvent) -> Void
  ) throws -> TrainingSummary {
    let options = configuration.train
    let wantsBest = (options.result ?? (run.state.best == nil ? .last : .best)) == .best
    var step = run.state.step
    if wantsBest, let best = run.state.best, best.step != run.state.step {
      step = takeBest(best.step, run, observer: observer)
    }
    describeTraining(run)
    run.adapter.trainingInfo["step"] = .int(Int64(step))
    try run.adapter.save(to: folder.adapter)
    var summary = summary(of: run)
    summary.changes = try changes(run)
    let manifest = try manifest(run, status: "finished", changes: summary.changes)
    let record = RunRecord(
      folder: folder.path,
      manifest: try JSONFile.decode(Array(manifest), path: folder.manifest),
      steps: try MetricsFile.read(path: folder.metrics),
      configuration: configuration
    )
    try AtomicFile.write(ReportPage(title: record.name, runs: [record]).html(), to: folder.report)
    try AtomicFile.write(manifest, to: folder.manifest)
    return summary
  }

  /// Puts the best checkpoint's parameters into the adapter; where it is gone or broken, the last ones
  /// stay, which is told: hours of training are worth more than none.
  ///
  /// - Returns: the step whose parameters the adapter has.
  private func takeBest(
    _ step: Int,
    _ run: TrainingRun,
    observer: (TrainingEvent) -> Void
  ) -> Int {
    let last = Array(run.adapter.parameters.values.values)
    do {
      try checkpoints.restoreParameters(step: step, into: run.adapter.parameters)
      return step
    } catch {
      _ = run.adapter.parameters.values.values.update(fromContentsOf: last)
      observer(
        .warning(
          "the checkpoint of the best validation, '\(checkpoints.path(step: step))', cannot be "
            + "read, so the adapter is that of the last step, \(run.state.step): \(error.message)"
        )
      )
      return run.state.step
    }
  }

  /// Puts facts of the training into the adapter; none of them may depend on time or machine.
  func describeTraining(_ run: TrainingRun) {
    let options = configuration.train
    var info: [String: JSONValue] = [
      "step": .int(Int64(run.state.step)), "steps": .int(Int64(run.plan.totalSteps)),
      "batch_size": .int(Int64(options.batchSize)), "learning_rate": .double(options.learningRate),
      "schedule": .string(options.schedule.rawValue), "seed": .int(Int64(options.seed)),
      "rows": .int(Int64(run.data.training.examples.count)),
      "data_hash": .string(run.data.training.hash), "epoch_loss": .double(run.epochLoss),
    ]
    if let auxiliary = run.epochAuxiliary { info["epoch_auxiliary"] = .double(auxiliary) }
    if let best = run.state.best {
      if let loss = best.loss { info["best_validation_loss"] = .double(loss) }
      info["best_step"] = .int(Int64(best.step))
      if let measure = best.measure {
        info["best_validation_\(metricName)"] = .double(measure)
      }
    }
    if let builds = run.state.earlierBuilds {
      info["earlier_plugin_hashes"] = .array(builds.map { .string($0) })
    }
    run.adapter.trainingInfo = info
  }

  private func summary(of run: TrainingRun) -> TrainingSummary {
    return TrainingSummary(
      steps: run.state.step,
      loss: run.epochLoss,
      auxiliary: run.epochAuxiliary,
      bestLoss: run.state.best.flatMap(\.loss),
      bestStep: run.state.best?.step,
      metric: metric,
      metricName: metricName,
      bestMeasure: run.state.best?.measure,
      seconds: run.state.seconds,
      tokensPerSecond: run.state.seconds > 0 ? Double(run.state.tokens) / run.state.seconds : 0,
      peakRssBytes: ProcessMemory.peak(),
      adapter: folder.adapter,
      trainableParameters: run.plan.trainableParameters,
      pluginShares: run.ownSeconds > 0 ? run.adapter.pluginShares(seconds: run.ownSeconds) : [:],
      editPlaces: run.runner.editPlaces
    )
  }

  /// Writes what went in and what came out, with hashes.
  func writeManifest(_ run: TrainingRun, status: String) throws {
    try AtomicFile.write(try manifest(run, status: status), to: folder.manifest)
  }

  private func manifest(
    _ run: TrainingRun,
    status: String,
    changes: [SiteChange] = []
  ) throws -> Data {
    let unedited = run.data.unedited
    var data: [String: JSONValue] = [
      "train": describe(run.data.training, unedited: unedited?.training),
      "template": text(run.adapter.template),
    ]
    if let validation = run.data.validation {
      data["validation"] = describe(validation, unedited: unedited?.validation)
    }
    let plugins = zip(run.adapter.specs, run.adapter.provenance).map { spec, provenance in
      JSONValue.object([
        "name": .string(spec.plugin), "id": text(provenance.id),
        "version": text(provenance.version), "abi": text(provenance.abi),
        "hash": text(provenance.hash),
      ])
    }
    var manifest: [String: JSONValue] = [
      "format": .string("reft-run"), "format_version": .int(1), "status": .string(status),
      "files": .array(RunFolder.files.map { .string($0) }),
      "updated": .string(Date().formatted(.iso8601)), "kernels": .string(kernels),
      "model": .object([
        "path": .string(model.path), "name": .string(model.configuration.name),
        "fingerprint": .string(model.fingerprint),
      ]),
      "data": .object(data), "plugins": .array(plugins),
      "configuration_hash": .string("sha256:" + SHA256Digest.hex(of: configuration.yaml().utf8)),
      "step": .int(Int64(run.state.step)), "steps": .int(Int64(run.plan.totalSteps)),
      "trainable_parameters": .int(Int64(run.plan.trainableParameters)),
    ]
    if let builds = run.state.earlierBuilds {
      manifest["earlier_plugin_hashes"] = .array(builds.map { .string($0) })
    }
    if let last = try MetricsFile.read(path: folder.metrics).compactMap(\.taskMetrics).last {
      manifest["task_metrics"] = .object(last.mapValues { .double($0) })
    }
    if status == "finished" {
      let tensors = folder.adapter + "/adapter_model.safetensors"
      let summary = summary(of: run)
      manifest["adapter_hash"] = .string("sha256:" + (try SHA256Digest.hex(ofFile: tensors)))
      manifest["loss"] = .double(summary.loss)
      manifest["best_loss"] = summary.bestLoss.map { .double($0) } ?? .null
      manifest["best_step"] = summary.bestStep.map { .int(Int64($0)) } ?? .null
      if let measure = summary.bestMeasure {
        manifest["best_metric"] = .object([summary.metricName: .double(measure)])
      }
      manifest["seconds"] = .double(summary.seconds)
      manifest["tokens_per_second"] = .double(summary.tokensPerSecond)
      manifest["peak_rss_bytes"] = .int(Int64(summary.peakRssBytes))
      manifest["changes"] = .array(changes.map(\.json))
      manifest["plugin_shares"] = .object(summary.pluginShares.mapValues { .double($0) })
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(manifest)
  }

  private func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }

  private func describe(_ data: DataSet, unedited: Int?) -> JSONValue {
    .object([
      "unedited": unedited.map { .int(Int64($0)) } ?? .null,
      "path": .string(data.path), "hash": .string(data.hash),
      "rows": .int(Int64(data.account.rows)), "examples": .int(Int64(data.examples.count)),
      "cut": .int(Int64(data.account.cut)), "skipped": .int(Int64(data.account.skipped)),
      "tokens": .int(Int64(data.account.tokens)), "labels": .int(Int64(data.account.labels)),
    ])
  }
}
