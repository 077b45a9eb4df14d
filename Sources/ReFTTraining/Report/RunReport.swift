// SPDX-License-Identifier: Apache-2.0
// report.html: one small file without scripts or links, for eyes and for attachments.

import Foundation
import ReFTHost
import ReFTModel

/// The report of a finished run.
struct RunReport {
  let configuration: RunConfiguration
  let records: [StepRecord]
  let summary: TrainingSummary

  /// The whole page.
  func html() -> String {
    let name = Self.escaped((configuration.output as NSString).lastPathComponent)
    let validation = records.compactMap { record in
      record.validationLoss.map { (Double(record.step), $0) }
    }
    let lossChart = Chart(
      title: configuration.head == nil ? "Loss (nats per token)" : "Loss",
      series: [
        .init(name: "training", color: "#4269d0", points: points(\.loss)),
        .init(name: "validation", color: "#ff725c", points: validation, hasDots: true),
      ]
    )
    let charts = [
      lossChart, auxiliaryChart, measureChart, taskChart,
      Chart(
        title: "Gradient norm",
        series: [.init(name: "before clipping", color: "#6cc5b0", points: points(\.gradNorm))]
      ),
      Chart(
        title: "Learning rate",
        series: [.init(name: "rate", color: "#7a9ee0", points: points(\.learningRate))]
      ),
      Chart(
        title: "Time of a step (seconds)",
        series: [.init(name: "wall time", color: "#a463f2", points: points(\.seconds))]
      ),
    ]
    return """
      <!DOCTYPE html>
      <html lang="en"><head><meta charset="utf-8"><title>\(name)</title>
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <style>
      :root { color-scheme: light dark }
      body { font: 15px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
      table { border-collapse: collapse; margin: 1rem 0 } td { padding: .15rem 1.5rem .15rem 0 }
      td + td { font-variant-numeric: tabular-nums } h2 { font-size: 1rem; margin: 1.5rem 0 0 }
      svg { width: 100%; height: auto } svg text { font-size: 11px } h1 { overflow-wrap: anywhere }
      svg polyline, svg line { vector-effect: non-scaling-stroke }
      pre { overflow-x: auto; font-size: 13px }
      @media (max-width: 30rem) { svg text { font-size: 19px } td { padding-right: .75rem } }
      </style></head><body>
      <h1>\(name)</h1>
      <table>\(facts)</table>
      \(charts.map { $0.svg() }.joined(separator: "\n"))
      \(changes)<h2>Configuration</h2>
      <pre>\(Self.escaped(configuration.yaml()))</pre>
      </body></html>

      """
  }

  /// What the trained edits change, by site; empty where nothing is edited.
  private var changes: String {
    guard !summary.changes.isEmpty else { return "" }
    let rows = summary.changes.map { change in
      let numbers = [change.mean, change.largest].map { String(format: "%.4f", $0) }
      let cells = ["\(change.site)", "\(change.tokens)"] + numbers
      return "<tr>" + cells.map { "<td>\($0)</td>" }.joined() + "</tr>"
    }
    return """
      <h2>What the edits change (‖Δh‖/‖h‖)</h2>
      <table><tr><td>site</td><td>tokens</td><td>mean</td><td>largest</td></tr>
      \(rows.joined(separator: "\n"))</table>

      """
  }

  /// What auxiliary losses added; empty where no plugin has one.
  private var auxiliaryChart: Chart {
    func points(_ value: KeyPath<StepRecord, Double?>) -> [(Double, Double)] {
      records.compactMap { record in record[keyPath: value].map { (Double(record.step), $0) } }
    }
    return Chart(
      title: "Auxiliary loss (per sequence, weighted)",
      series: [
        .init(name: "training", color: "#4269d0", points: points(\.auxiliary)),
        .init(
          name: "validation",
          color: "#ff725c",
          points: points(\.validationAuxiliary),
          hasDots: true
        ),
      ]
    )
  }

  /// What a head's answers were worth; empty where there is no head.
  private var measureChart: Chart {
    let colors = ["#3ca951", "#efb118", "#9c6b4e"]
    let metrics = records.lazy.compactMap(\.validationMetrics).first?.items.map(\.metric) ?? []
    return Chart(
      title: "Validation rows",
      series: zip(metrics, colors).map { metric, color in
        Chart.Series(
          name: metric.rawValue,
          color: color,
          points: records.compactMap { record in
            record.validationMetrics?[metric].map { (Double(record.step), $0) }
          },
          hasDots: true
        )
      }
    )
  }

  /// What the adapter came to at tasks; empty where none were asked.
  private var taskChart: Chart {
    let colors = ["#3ca951", "#efb118", "#9c6b4e", "#ff8ab7", "#97bbf5", "#9498a0"]
    let names = Set(records.flatMap { $0.taskMetrics.map { Array($0.keys) } ?? [] }).sorted()
    return Chart(
      title: "Tasks",
      series: names.enumerated().map { index, name in
        Chart.Series(
          name: name,
          color: colors[index % colors.count],
          points: records.compactMap { record in
            record.taskMetrics?[name].map { (Double(record.step), $0) }
          },
          hasDots: true
        )
      }
    )
  }

  private func points(_ value: KeyPath<StepRecord, Double>) -> [(Double, Double)] {
    records.map { (Double($0.step), $0[keyPath: value]) }.filter { $0.1.magnitude < 1e300 }
  }

  private var facts: String {
    var rows = [
      ("steps", "\(summary.steps)"), ("loss of the last epoch", Self.number(summary.loss)),
      ("trainable parameters", "\(summary.trainableParameters)"),
      ("wall time of the steps", Self.number(summary.seconds) + " s"),
      ("tokens per second", Self.number(summary.tokensPerSecond)),
      ("peak memory", Self.number(Double(summary.peakRssBytes) / 1e6) + " MB"),
    ]
    if let auxiliary = summary.auxiliary {
      rows.insert(("auxiliary loss there", Self.number(auxiliary)), at: 2)
    }
    if let best = summary.bestLoss, let step = summary.bestStep {
      rows.insert(("best validation loss", "\(Self.number(best)) at step \(step)"), at: 2)
    }
    if let measure = summary.bestMeasure {
      rows.insert(("best validation \(summary.metricName)", Self.number(measure)), at: 2)
    }
    for (plugin, share) in summary.pluginShares.sorted(by: { $0.key < $1.key }) {
      rows.append(("time in \(Self.escaped(plugin))", Self.number(share * 100) + " %"))
    }
    return rows.map { "<tr><td>\($0)</td><td>\($1)</td></tr>" }.joined()
  }

  /// A number with four significant digits, or all of those before the point.
  static func number(_ value: Double) -> String {
    String(format: (1e4..<1e15).contains(value.magnitude) ? "%.0f" : "%.4g", value)
  }

  /// Text that means itself in HTML.
  static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
      .replacing("\"", with: "&quot;")
  }
}
