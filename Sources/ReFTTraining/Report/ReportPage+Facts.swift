// SPDX-License-Identifier: Apache-2.0
// What a report tells in words and tables: differences, data, replies, time and memory.

import Foundation

extension ReportPage {
  // MARK: Configuration

  /// The keys of which runs have different values.
  var differences: String {
    guard runs.count > 1 else { return "" }
    var keys: [String] = []
    for run in runs {
      for setting in run.settings where setting.key != "output" && !keys.contains(setting.key) {
        keys.append(setting.key)
      }
    }
    let rows = keys.compactMap { key -> [String]? in
      let values = runs.map { $0[key] }
      guard Set(values).count > 1 else { return nil }
      return [HTML.text(key)] + values.map { $0.map(HTML.text) ?? "<span class=\"soft\">–</span>" }
    }
    let head = [""] + runs.indices.map(marked)
    return HTML.section(
      "Configuration, where it differs",
      rows.isEmpty ? "<p>Nowhere.</p>" : HTML.table(head: head, rows: rows, kind: "keys")
    )
  }

  var configurations: String {
    let parts = runs.indices.map { index in
      "<details\(runs.count == 1 ? " open" : "")><summary>\(marked(index))</summary>"
        + "<pre>\(HTML.text(runs[index].configuration))</pre></details>"
    }
    return HTML.section("Configuration", parts.joined())
  }

  // MARK: Data

  var data: String {
    // Runs of a sweep mostly read the same files.
    var rows: [[String]] = []
    for index in runs.indices {
      guard let data = runs[index].manifest.data else { continue }
      for (part, file) in [("training", data.train), ("validation", data.validation)] {
        guard let file else { continue }
        rows.append(cells(part, file))
      }
    }
    var seen: Set<[String]> = []
    let head = [
      "", "file", "rows", "examples", "tokens", "to learn", "cut", "left out", "without an edit",
    ]
    // A run that edits nothing has no last cell; another may tell the rest already.
    let told = Set(rows.filter { $0.last?.isEmpty == false }.map { $0.dropLast() })
    let kept = rows.filter { row in
      let isTold = row.last?.isEmpty == true && told.contains(row.dropLast())
      return !isTold && seen.insert(row).inserted
    }
    return HTML.section(
      "Data",
      kept.isEmpty ? "" : HTML.table(head: head, rows: kept, kind: "numbers")
    )
  }

  private func cells(_ part: String, _ file: RunManifest.Rows) -> [String] {
    [
      part, HTML.text(URL(fileURLWithPath: file.path).lastPathComponent), HTML.count(file.rows),
      HTML.count(file.examples), HTML.count(file.tokens), HTML.count(file.labels),
      HTML.count(file.cut), HTML.count(file.skipped), file.unedited.map(HTML.count) ?? "",
    ]
  }

  // MARK: Replies

  var repliesSection: String {
    let parts = replies.map { reply in
      let after = reply.after.map { answer in
        let index = runs.firstIndex { $0.name == answer.run }
        let name = index.map(marked) ?? HTML.text(answer.run)
        return Self.answer(runs.count == 1 ? "after" : name, answer.text)
      }
      return "<div class=\"reply\"><div class=\"prompt\"><div class=\"text\">"
        + HTML.text(reply.prompt) + "</div></div>" + Self.answer("before", reply.before)
        + after.joined() + "</div>"
    }
    return HTML.section(
      "Replies",
      note: "The likeliest token at each step, from the model alone and with the adapter.",
      parts.joined()
    )
  }

  private static func answer(_ name: String, _ text: String) -> String {
    "<div><div class=\"soft\">\(name)</div><div class=\"text\">\(HTML.text(text))</div></div>"
  }

  // MARK: Time and memory

  var costs: String {
    let head = ["run", "plugin", "part of the steps' time", ""]
    let rows = runs.indices.flatMap { index -> [[String]] in
      let shares = runs[index].manifest.pluginShares ?? [:]
      return shares.sorted { $0.key < $1.key }.map { plugin, share in
        let width = String(format: "%.2f%%", min(100, 100 * share))
        return [
          marked(index), HTML.text(plugin),
          "<div class=\"bar\"><i style=\"width:\(width);background:\(color(index))\"></i></div>",
          String(format: "%.1f %%", 100 * share),
        ]
      }
    }
    return HTML.section(
      "Time in plugins",
      rows.isEmpty ? "" : HTML.table(head: head, rows: rows, kind: "numbers")
    )
  }
}
