// SPDX-License-Identifier: Apache-2.0
// What `reft steer sweep` leaves behind: the report, the recommended adapter, tables and the
// document.

import ReFTHost
import ReFTSteering
import ReFTTensor

/// The end of a sweep.
struct SweepOutcome {
  let folder: String
  let plan: SweepPlan
  let results: [SteeringResult]
  let recommended: SteeringResult?
  let comparesCompletions: Bool
  /// How much the perplexity may rise; nil where it was not measured.
  let limit: Double?
  let seconds: Double

  private var place: SweepFolder { SweepFolder(folder) }
  private var reportPath: String { place.report }
  private var adapterPath: String { place.adapter }

  /// Writes the report, and the adapter of the recommended setting; without one none is left there.
  func write(_ sweep: SteeringSweep, facts: [(String, String)]) throws {
    let report = SteeringReport(
      facts: facts,
      results: results,
      prompts: plan.prompts,
      recommended: recommended,
      comparesCompletions: comparesCompletions,
      promptBaseline: plan.promptBaseline
    )
    try AtomicFile.write(report.html(), to: reportPath)
    guard case .steered(let layer, let strength)? = recommended?.setting else {
      return try place.dropAdapter()
    }
    try sweep.steered(layer: layer, strength: strength).save(to: adapterPath)
  }

  // MARK: Tables

  /// Prints what was found.
  func show() {
    let unit = comparesCompletions ? "nats" : "1 = from the negative to the positive texts"
    Output.line("effect (\(unit))")
    Output.table(matrix { Readable.signed($0.effect, 2) })
    if limit != nil {
      Output.line("\nperplexity on neutral text, change in %")
      Output.table(matrix { Readable.signed(100 * ($0.perplexityIncrease ?? 0), 1) })
    }
    Output.line()
    let head = ["", "effect", "error", "perplexity", "KL", "repetition"]
    Output.table([head] + named.map { name, result in row(name, result) })
    Output.line()
    guard let recommended, case .steered(let layer, let strength) = recommended.setting else {
      if results.lacksErrors {
        return Output.line(
          "no setting is recommended, since of a single pair the error is unknown; report: \(reportPath)"
        )
      }
      return Output.line(
        "no setting has an effect beyond its error"
          + (limit.map { " with at most \(Readable.fixed(100 * $0, 1)) % more perplexity" } ?? "")
          + "; report: \(reportPath)"
      )
    }
    Output.line("recommended: layer \(layer), strength \(strength); adapter: \(adapterPath)")
    Output.line("report: \(reportPath)")
  }

  private var named: [(String, SteeringResult)] {
    var rows: [(String, SteeringResult)] = []
    if let frozen = results.result(of: .frozen) { rows.append(("no edit", frozen)) }
    if let prompt = results.result(of: .prompt) { rows.append(("prompted", prompt)) }
    if let recommended { rows.append(("recommended", recommended)) }
    return rows
  }

  private func row(_ name: String, _ result: SteeringResult) -> [String] {
    [
      name, Readable.signed(result.effect, 3),
      result.effectError.map { Readable.fixed($0, 3) } ?? "-",
      result.perplexity.map { Readable.fixed($0, 2) } ?? "-",
      result.divergence.map { Readable.fixed($0, 4) } ?? "-",
      Readable.fixed(100 * result.repetition, 1) + " %",
    ]
  }

  /// Layers × strengths.
  private func matrix(_ value: (SteeringResult) -> String) -> [[String]] {
    let head = ["layer"] + plan.strengths.map { Readable.signed($0) }
    return [head]
      + plan.layers.map { layer in
        [String(layer)]
          + plan.strengths.map { strength in
            let result = results.result(of: .steered(layer: layer, strength: strength))
            return result.map(value) ?? "-"
          }
      }
  }

  // MARK: Document

  struct Document: Encodable {
    var output: String
    var report: String
    var adapter: OrNull<String>
    var effect: String
    var results: [SteeringResult]
    var recommended: OrNull<SteeringResult>
    var seconds: Double
  }

  /// The JSON document.
  var document: Document {
    Document(
      output: folder,
      report: reportPath,
      adapter: OrNull(recommended == nil ? nil : adapterPath),
      effect: comparesCompletions ? "log-probability" : "projection",
      results: results,
      recommended: OrNull(recommended),
      seconds: seconds
    )
  }
}
