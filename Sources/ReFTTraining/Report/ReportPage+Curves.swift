// SPDX-License-Identifier: Apache-2.0
// The curves of a report, and the measures of its runs with their intervals.

import Foundation

extension ReportPage {
  private static let charts: [(title: String, value: @Sendable (StepRecord) -> Double)] = [
    ("Gradient norm before clipping", { $0.gradNorm }), ("Learning rate", { $0.learningRate }),
    ("Tokens per second", { $0.tokensPerSecond }), ("Time of a step (seconds)", { $0.seconds }),
  ]

  var curves: String {
    let unit = runs.contains { $0["head.task"] != nil } ? "" : " (nats per token)"
    let loss =
      runs.count == 1
      ? [lossOfOne("Loss" + unit)]
      : [
        chart("Training loss" + unit, isSmoothed: true) { Self.points($0) { $0.loss } },
        chart("Validation loss" + unit, hasDots: true, Self.validation),
      ]
    let measures = metrics.map { metric in
      chart("Validation \(metric.rawValue)", hasDots: true) { Self.validation($0, metric) }
    }
    let tasks = taskNames.map { name in
      chart(name, hasDots: true) { run in
        run.steps.compactMap { step in step.taskMetrics?[name].map { (Double(step.step), $0) } }
      }
    }
    let auxiliary = chart("Auxiliary loss (per sequence, weighted)", isSmoothed: true) { run in
      run.steps.compactMap { step in step.auxiliary.map { (Double(step.step), $0) } }
    }
    let rest = Self.charts.map { title, value in
      chart(title, isSmoothed: title != "Learning rate") { Self.points($0, value) }
    }
    let memory = chart("Peak memory so far (MB)") { run in
      run.steps.map { (Double($0.step), Double($0.peakRssBytes) / 1e6) }
    }
    let all = (loss + [auxiliary] + measures + tasks + rest + [memory]).map { $0.svg() }.joined()
    return HTML.section("Curves", all.isEmpty ? "" : "<div class=\"charts\">\(all)</div>")
  }

  private func lossOfOne(_ title: String) -> Chart {
    Chart(
      title: title,
      series: [
        .init(
          name: "training",
          color: ReportStyle.color(0),
          points: Self.points(runs[0]) { $0.loss },
          isSmoothed: true
        ),
        .init(
          name: "validation",
          color: ReportStyle.color(1),
          points: Self.validation(runs[0]),
          hasDots: true
        ),
      ]
    )
  }

  private func chart(
    _ title: String,
    hasDots: Bool = false,
    isSmoothed: Bool = false,
    _ points: (RunRecord) -> [(Double, Double)]
  ) -> Chart {
    let series = runs.indices.map { index in
      Chart.Series(
        name: runs[index].name,
        color: color(index),
        points: points(runs[index]).filter { $0.1.magnitude < 1e300 },
        hasDots: hasDots,
        isSmoothed: isSmoothed
      )
    }
    return Chart(title: title, series: series, hasLegend: runs.count > 1 && runs.count <= 6)
  }

  private static func points(
    _ run: RunRecord,
    _ value: (StepRecord) -> Double
  ) -> [(Double, Double)] {
    run.steps.map { (Double($0.step), value($0)) }.filter { $0.1.magnitude < 1e300 }
  }

  private static func validation(_ run: RunRecord) -> [(Double, Double)] {
    run.steps.compactMap { step in step.validationLoss.map { (Double(step.step), $0) } }
  }

  private static func validation(_ run: RunRecord, _ metric: Metric) -> [(Double, Double)] {
    run.steps.compactMap { step in
      step.validationMetrics?[metric].map { (Double(step.step), $0) }
    }
  }

  /// The tasks' measures that some run has.
  private var taskNames: [String] {
    let names = runs.flatMap { run in
      run.steps.flatMap { $0.taskMetrics.map { Array($0.keys) } ?? [] }
    }
    return Set(names).sorted()
  }

  /// The measures that some run has.
  private var metrics: [Metric] {
    let found = Set(
      runs.flatMap { run in
        run.steps.flatMap { $0.validationMetrics?.items.map(\.metric) ?? [] }
      }
    )
    return Metric.allCases.filter(found.contains)
  }

  // MARK: Measures

  var measures: String {
    let charts = sweep.map { groups($0) } ?? (metricCharts + evaluations)
    let note =
      sweep == nil
      ? "Whiskers: of accuracy, Wilson's 95 % interval over the validation rows; of evaluations, 1.96 "
        + "standard errors."
      : "Whiskers: one deviation over the runs of a setting, on either side of the mean."
    let all = charts.map { $0.html() }.joined()
    let content = all.isEmpty ? "" : "<div class=\"charts\">\(all)</div>"
    return HTML.section("Measures", note: note, content)
  }

  private var metricCharts: [DotChart] {
    metrics.map { metric in
      let rows = runs.indices.compactMap { index -> DotChart.Row? in
        let run = runs[index]
        guard let value = run.bestValidation?.validationMetrics?[metric] else { return nil }
        let count = run.manifest.data?.validation?.examples
        let interval =
          metric == .accuracy ? Interval(part: value, of: count ?? 0) : Interval(value)
        return .init(name: run.name, color: color(index), interval: interval)
      }
      return DotChart(title: "Validation \(metric.rawValue), best step", rows: rows)
    }
  }

  private var evaluations: [DotChart] {
    let names = Set(results.flatMap(\.metrics.keys)).filter { $0.contains(".") }.sorted()
    return names.map { name in
      let rows = runs.indices.compactMap { index -> DotChart.Row? in
        let result = results.first { $0.name == runs[index].name }
        guard let result, let value = result.metrics[name] else { return nil }
        let half = result.standardErrors?[name].map { 1.96 * $0 }
        return .init(
          name: runs[index].name,
          color: color(index),
          interval: Interval(value, around: half)
        )
      }
      return DotChart(title: name, rows: rows)
    }
  }

  /// A chart for each measure of a sweep; a row for each setting.
  private func groups(_ sweep: SweepTable) -> [DotChart] {
    let order = results.reduce(into: [String]()) { groups, result in
      if !groups.contains(result.group) { groups.append(result.group) }
    }
    return sweep.metrics.map { name in
      let rows = sweep.rows.compactMap { row -> DotChart.Row? in
        guard let cell = row.metrics[name] else { return nil }
        let group = row.settings.map { "\($0.name)=\($0.value)" }.joined(separator: ",")
        let label = row.settings.map { $0.name == "variant" ? $0.value : "\($0.name) \($0.value)" }
        return .init(
          name: label.isEmpty ? "all runs" : label.joined(separator: ", "),
          color: ReportStyle.color(order.firstIndex(of: group) ?? 0),
          interval: Interval(cell.mean, around: cell.deviation)
        )
      }
      return DotChart(title: name.replacing("_", with: " "), rows: rows)
    }
  }
}
