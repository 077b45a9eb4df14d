// SPDX-License-Identifier: Apache-2.0
// report.html of a sweep: heat maps, all numbers, and replies side by side; one small file without
// scripts or links.

import Foundation
import ReFTTraining

/// The report of a sweep.
public struct SteeringReport {
  /// What stands at the top, name and value.
  public var facts: [(String, String)]
  /// The results.
  public var results: [SteeringResult]
  /// What the model replied to.
  public var prompts: [String]
  /// The setting that is recommended; nil where there is none.
  public var recommended: SteeringResult?
  /// Whether the effect is a difference of log-probabilities.
  public var comparesCompletions: Bool
  /// The instruction of the prompted row.
  public var promptBaseline: String?

  /// Collects what is reported.
  public init(
    facts: [(String, String)],
    results: [SteeringResult],
    prompts: [String],
    recommended: SteeringResult?,
    comparesCompletions: Bool,
    promptBaseline: String?
  ) {
    self.facts = facts
    self.results = results
    self.prompts = prompts
    self.recommended = recommended
    self.comparesCompletions = comparesCompletions
    self.promptBaseline = promptBaseline
  }

  /// What the page is called, and known by.
  static let title = "Steering sweep"

  /// What to say where the effect is of one pair or text alone, and what to do.
  public static let unknownError =
    "the effect is measured on a single pair, so that its error is unknown and no setting is recommended; "
    + "give more held-out pairs: more rows, or a larger --holdout of reft steer extract"

  /// The unit of the effect.
  private var unit: String {
    comparesCompletions ? "nats" : "1 = from the negative to the positive texts"
  }

  /// The whole page.
  public func html() -> String {
    let maps = [
      map("Effect (\(unit))", ("#3b78d8", "#e0563b")) { ($0.effect, Self.signed($0.effect, 2)) },
      map("Perplexity on neutral text, change (%)", ("#d9822b", "#3ca951")) { result in
        // A model that is out of its mind would leave no colour for the others.
        result.perplexityIncrease.map { (log1p(max($0, -0.99)), Self.signed(100 * $0, 1)) }
      },
      map("KL to the frozen model (nats per token)", ("#a463f2", "#a463f2")) { result in
        result.divergence.map { ($0, String(format: "%.3f", $0)) }
      },
      map("Repetition of replies (% of four-token runs)", ("#9c6b4e", "#9c6b4e")) { result in
        (result.repetition, String(format: "%.0f", 100 * result.repetition))
      },
    ]
    return """
      <!DOCTYPE html>
      <html lang="en"><head><meta charset="utf-8"><title>\(Self.title)</title>
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <style>
      :root { color-scheme: light dark }
      body { font: 15px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
      table { border-collapse: collapse; margin: 1rem 0; width: 100% }
      td, th { padding: .15rem .75rem .15rem 0; text-align: left; vertical-align: top }
      td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
      .replies td:first-child { white-space: nowrap; width: 1% }
      th { font-weight: 600 } h2 { font-size: 1rem; margin: 1.5rem 0 .25rem }
      svg { width: 100%; height: auto } svg text { font-size: 11px }
      </style></head><body>
      <h1>Steering sweep</h1>
      <table>\(facts.map { Self.row([$0, $1]) }.joined())</table>
      \(maps.joined(separator: "\n"))
      <h2>Without an edit, prompted, and recommended</h2>
      \(summary)
      <h2>Replies</h2>
      \(replies)
      </body></html>

      """
  }

  // MARK: Maps

  private var layers: [Int] {
    Set(results.compactMap { $0.setting.layer }).sorted()
  }

  private var strengths: [Double] {
    Set(results.compactMap { $0.setting.strength }).sorted()
  }

  private func map(
    _ title: String,
    _ colors: (above: String, below: String),
    _ value: (SteeringResult) -> (Double, String)?
  ) -> String {
    let cells = layers.map { layer in
      strengths.map { strength -> HeatMap.Cell? in
        let setting = SteeringSetting.steered(layer: layer, strength: strength)
        guard let result = results.result(of: setting), let (number, text) = value(result) else {
          return nil
        }
        return HeatMap.Cell(
          value: number,
          text: text,
          isMarked: recommended?.setting == setting
        )
      }
    }
    guard cells.joined().contains(where: { $0 != nil }) else { return "" }
    return HeatMap(
      title: title,
      rows: layers.map { "layer \($0)" },
      columns: strengths.map { Self.signed($0) },
      cells: cells,
      colors: colors
    ).svg()
  }

  // MARK: Tables

  /// The settings that are shown in words: without an edit, prompted, recommended and its opposite.
  private var shown: [(String, SteeringResult)] {
    var shown: [(String, SteeringResult)] = []
    if case .steered(let layer, let strength)? = recommended?.setting {
      let opposite = SteeringSetting.steered(layer: layer, strength: -strength)
      if let result = results.result(of: opposite) {
        shown.append(("layer \(layer), \(Self.signed(-strength))", result))
      }
    }
    if let result = results.result(of: .frozen) { shown.append(("no edit", result)) }
    if let recommended, case .steered(let layer, let strength) = recommended.setting {
      shown.append(("layer \(layer), \(Self.signed(strength))", recommended))
    }
    if let result = results.result(of: .prompt) { shown.append(("prompted", result)) }
    return shown
  }

  private var summary: String {
    let head = ["", "effect", "± error", "perplexity", "KL", "repetition"]
    let rows = shown.map { name, result in
      Self.row([
        name, Self.signed(result.effect, 3),
        result.effectError.map { String(format: "%.3f", $0) } ?? "–",
        result.perplexity.map { String(format: "%.2f", $0) } ?? "",
        result.divergence.map { String(format: "%.4f", $0) } ?? "",
        String(format: "%.1f %%", 100 * result.repetition),
      ])
    }
    let note =
      (results.lacksErrors ? "<p>Note: \(HTML.text(Self.unknownError)).</p>" : "")
      + (promptBaseline.map { "<p>Prompted: “\(HTML.text($0))”</p>" } ?? "")
    return
      "<table><tr>\(head.map { "<th>\($0)</th>" }.joined())</tr>\(rows.joined())</table>\(note)"
  }

  private var replies: String {
    prompts.indices.map { index in
      let rows = shown.filter { $0.1.replies.indices.contains(index) }.map { name, result in
        Self.row([name, result.replies[index]])
      }
      let table = "<table class=\"replies\">\(rows.joined())</table>"
      return "<p><b>\(HTML.text(prompts[index]))</b></p>" + table
    }.joined()
  }

  private static func row(_ cells: [String]) -> String {
    "<tr>\(cells.map { "<td>\(HTML.text($0))</td>" }.joined())</tr>"
  }

  /// A number with its sign.
  private static func signed(_ value: Double, _ decimals: Int? = nil) -> String {
    let text = decimals.map { String(format: "%.\($0)f", value.magnitude) } ?? "\(value.magnitude)"
    return (value < 0 ? "−" : "+") + text
  }

  /// Text that means itself in HTML.
}

extension SteeringSetting {
  /// The layer that is edited; nil without an edit.
  public var layer: Int? {
    if case .steered(let layer, _) = self { layer } else { nil }
  }

  /// The strength of the edit; nil without one.
  public var strength: Double? {
    if case .steered(_, let strength) = self { strength } else { nil }
  }
}
