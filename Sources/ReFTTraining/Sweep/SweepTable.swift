// SPDX-License-Identifier: Apache-2.0
// The table of a sweep: a line for each setting, mean and deviation over its seeds, the best first.

import Foundation

/// What the runs of a sweep came to, by setting.
public struct SweepTable: Sendable {
  /// A mean with its spread.
  public struct Cell: Codable, Sendable, Equatable {
    /// The mean over the runs that have the measure.
    public var mean: Double
    /// The sample deviation; nil of a single run.
    public var deviation: Double?
    /// How many runs have it.
    public var runs: Int

    /// Nil where there is no value.
    init?(_ values: [Double]) {
      guard !values.isEmpty else { return nil }
      let count = Double(values.count)
      let mean = values.reduce(0, +) / count
      (self.mean, runs) = (mean, values.count)
      guard values.count > 1 else { return }
      let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
      deviation = (squares / (count - 1)).squareRoot()
    }

    /// "0.8123 ± 0.0040".
    public var text: String {
      let number = { (value: Double) in
        String(format: value.magnitude >= 1000 ? "%.0f" : "%.4f", value)
      }
      return number(mean) + (deviation.map { " ± " + number($0) } ?? "")
    }
  }

  /// A setting.
  public struct Row: Codable, Sendable {
    /// Its values.
    public var settings: [TrainingSweep.Setting]
    /// How many of its runs are finished, and how many it has.
    public var finished: Int
    /// All its runs.
    public var runs: Int
    /// Its measures.
    public var metrics: [String: Cell]
    /// Values that the optimiser changed.
    public var trainableParameters: Int?
    /// The mean wall time of the steps of a run.
    public var seconds: Double?

    enum CodingKeys: String, CodingKey {
      case settings, finished, runs, metrics, seconds
      case trainableParameters = "trainable_parameters"
    }
  }

  /// What the rows are sorted by; nil while no run is finished.
  public var metric: String?
  /// The measures, that one first.
  public var metrics: [String]
  /// The settings, the best first.
  public var rows: [Row]

  /// Groups results.
  ///
  /// - Parameters:
  ///   - results: the runs.
  ///   - metric: what to sort by; nil: the first evaluation, else a head's usual measure, else the
  ///     loss on validation rows, else that of training.
  public init(_ results: [SweepResult], metric: String?) {
    let known = Set(results.flatMap(\.metrics.keys))
    let order = Self.order(known)
    let first = metric.flatMap { known.contains($0) ? $0 : nil } ?? order.first
    self.metric = first
    metrics = (first.map { [$0] } ?? []) + order.filter { $0 != first }
    var groups: [String] = []
    let byGroup = Dictionary(grouping: results, by: \.group)
    for result in results where !groups.contains(result.group) { groups.append(result.group) }
    rows = groups.compactMap { byGroup[$0].map(Self.row) }
    guard let first else { return }
    let sign = Self.isLowerBetter(first) ? 1.0 : -1.0
    let keys = rows.map { $0.metrics[first].map { $0.mean * sign } ?? .infinity }
    let places = rows.indices.sorted { (keys[$0], $0) < (keys[$1], $1) }
    rows = places.map { rows[$0] }
  }

  private static func row(_ results: [SweepResult]) -> Row {
    let done = results.filter { $0.status == .finished }
    let names = Set(done.flatMap(\.metrics.keys))
    return Row(
      settings: results[0].settings,
      finished: done.count,
      runs: results.count,
      metrics: names.reduce(into: [:]) { cells, name in
        cells[name] = Cell(done.compactMap { $0.metrics[name] }.filter(\.isFinite))
      },
      trainableParameters: done.lazy.compactMap(\.trainableParameters).first,
      seconds: Cell(done.compactMap(\.seconds))?.mean
    )
  }

  /// Evaluations, measures of heads, losses.
  private static func order(_ names: Set<String>) -> [String] {
    let usual = Metric.allCases.map(\.rawValue).filter { $0 != "loss" }
    let heads = usual.filter(names.contains)
    let losses = ["validation_loss", "loss"].filter(names.contains)
    return names.subtracting(heads + losses).sorted() + heads + losses
  }

  /// Whether the lower value of a measure is the better one.
  public static func isLowerBetter(_ metric: String) -> Bool {
    let word = metric.split(separator: ".").last.map(String.init) ?? metric
    return word.hasSuffix("loss") || word.hasSuffix("perplexity") || word.hasSuffix("error")
  }

  // MARK: As text

  /// The table's cells, its head first.
  public var cells: [[String]] {
    let names = rows.reduce(into: [String]()) { names, row in
      for setting in row.settings where !names.contains(setting.name) { names.append(setting.name) }
    }
    let head = names + metrics.map { $0.replacing("_", with: " ") }
    return [head + ["runs", "parameters", "seconds"]] + rows.map { cells($0, names) }
  }

  private func cells(_ row: Row, _ names: [String]) -> [String] {
    var cells = names.map { name in row.settings.first { $0.name == name }?.value ?? "" }
    cells += metrics.map { row.metrics[$0]?.text ?? "" }
    cells.append(row.finished == row.runs ? "\(row.runs)" : "\(row.finished) of \(row.runs)")
    cells.append(row.trainableParameters.map { "\($0)" } ?? "")
    cells.append(row.seconds.map { String(format: "%.1f", $0) } ?? "")
    return cells
  }

  /// The table in Markdown.
  public var markdown: String {
    let cells = cells
    let lines = cells.map { row in
      "| " + row.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |"
    }
    let rule = "|" + String(repeating: "---|", count: cells[0].count)
    return ([lines[0], rule] + lines.dropFirst()).joined(separator: "\n") + "\n"
  }
}
