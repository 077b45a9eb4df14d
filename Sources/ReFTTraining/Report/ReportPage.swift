// SPDX-License-Identifier: Apache-2.0
// report.html: one file without scripts or links, for eyes and for attachments. Its curves are in
// `ReportPage+Curves`, what is no curve in `ReportPage+Facts`.

import Foundation

/// A page over one run, or over several.
package struct ReportPage {
  /// Answers to one prompt.
  package struct Reply: Sendable {
    /// What was asked.
    package var prompt: String
    /// What the model alone answers.
    package var before: String
    /// What it answers with each adapter, by the run's name.
    package var after: [(run: String, text: String)]

    package init(prompt: String, before: String, after: [(run: String, text: String)]) {
      (self.prompt, self.before, self.after) = (prompt, before, after)
    }
  }

  /// What stands above.
  package var title: String
  package var runs: [RunRecord]
  /// The settings of a sweep, where the runs are of one.
  package var sweep: SweepTable?
  /// The results of the sweep's runs: evaluations are in them.
  package var results: [SweepResult] = []
  package var replies: [Reply] = []

  /// A page over some runs.
  package init(title: String, runs: [RunRecord]) {
    (self.title, self.runs) = (title, runs)
  }

  /// The whole page.
  package func html() -> String {
    let sections = [
      sweepSection, HTML.section(runs.count == 1 ? "Run" : "Runs", overview), measures, curves,
      differences, data, repliesSection, changes, costs, configurations,
    ]
    return """
      <!DOCTYPE html>
      <html lang="en"><head><meta charset="utf-8"><title>\(HTML.text(title))</title>
      \(Self.generator)
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <style>
      \(ReportStyle.sheet)
      </style></head><body>
      <h1>\(HTML.text(title))</h1>
      \(sections.joined())
      </body></html>

      """
  }

  /// What tells a report apart from other pages.
  private static let generator = "<meta name=\"generator\" content=\"reft report\">"

  /// Whether a file is a report, which another may replace.
  package static func isReport(_ path: String) -> Bool {
    guard let file = FileHandle(forReadingAtPath: path) else { return false }
    defer { try? file.close() }
    let head = (try? file.read(upToCount: 4096)) ?? nil
    return String(decoding: head ?? Data(), as: UTF8.self).contains(generator)
  }

  /// The colour of a run: of a sweep, that of its setting.
  func color(_ index: Int) -> String {
    guard !results.isEmpty else { return ReportStyle.color(index) }
    let groups = results.reduce(into: [String]()) { groups, result in
      if !groups.contains(result.group) { groups.append(result.group) }
    }
    let own = results.first { $0.name == runs[index].name }?.group
    return ReportStyle.color(own.flatMap(groups.firstIndex) ?? index)
  }

  /// A run's name beside its colour.
  func marked(_ index: Int) -> String {
    guard runs.count > 1 else { return HTML.text(runs[index].name) }
    return "<i class=\"mark\" style=\"background:\(color(index))\"></i>"
      + HTML.text(runs[index].name)
  }

  // MARK: Overview

  private var overview: String {
    runs.count == 1 ? facts(runs[0]) : comparison
  }

  private func facts(_ run: RunRecord) -> String {
    let manifest = run.manifest
    var rows: [[String]] = [["state", state(run)]]
    if let model = manifest.model { rows.append(["model", HTML.text(model.name)]) }
    if let loss = manifest.loss { rows.append(["loss of the last epoch", HTML.number(loss)]) }
    if let best = manifest.bestLoss {
      let step = manifest.bestStep.map { " at step \($0)" } ?? ""
      rows.append(["best validation loss", HTML.number(best) + step])
    }
    for item in run.bestValidation?.validationMetrics?.items ?? [] {
      rows.append(["validation \(item.metric.rawValue)", HTML.number(item.value)])
    }
    for (name, value) in (run.bestValidation?.taskMetrics ?? [:]).sorted(by: { $0.key < $1.key }) {
      rows.append([HTML.text(name), HTML.number(value)])
    }
    if let count = manifest.trainableParameters {
      rows.append(["trainable parameters", HTML.count(count)])
    }
    if let seconds = manifest.seconds {
      rows.append(["wall time of the steps", HTML.duration(seconds)])
    }
    if let rate = manifest.tokensPerSecond {
      rows.append(["tokens per second", HTML.number(rate)])
    }
    if let bytes = manifest.peakRssBytes { rows.append(["peak memory", HTML.bytes(bytes)]) }
    return HTML.table(head: [], rows: rows, kind: "facts")
  }

  private var comparison: String {
    let head = [
      "run", "state", "loss", "validation", "best step", "parameters", "time", "tokens/s",
      "peak memory",
    ]
    let rows = runs.indices.map { index -> [String] in
      let manifest = runs[index].manifest
      return [
        marked(index), state(runs[index]),
        manifest.loss.map(HTML.number) ?? "", manifest.bestLoss.map(HTML.number) ?? "",
        manifest.bestStep.map(String.init) ?? "",
        manifest.trainableParameters.map(HTML.count) ?? "",
        manifest.seconds.map(HTML.duration) ?? "",
        manifest.tokensPerSecond.map(HTML.number) ?? "",
        manifest.peakRssBytes.map(HTML.bytes) ?? "",
      ]
    }
    return HTML.table(head: head, rows: rows, kind: "numbers")
  }

  private func state(_ run: RunRecord) -> String {
    let step = run.manifest.step ?? run.steps.last?.step ?? 0
    let steps = run.manifest.steps.map { $0 == step ? "\(step) steps" : "step \(step) of \($0)" }
    return HTML.text(run.manifest.status) + (steps.map { ", " + $0 } ?? "")
  }

  private var sweepSection: String {
    guard let sweep, let head = sweep.cells.first else { return "" }
    let rows = sweep.cells.dropFirst().map { $0.map(HTML.text) }
    return HTML.section(
      "Settings",
      note: "Mean ± deviation over the runs of a setting, the best first.",
      HTML.table(head: head.map(HTML.text), rows: rows, kind: "numbers")
    )
  }
}
