// SPDX-License-Identifier: Apache-2.0
// What the edits of runs change, block by block, as shaded tables.

import Foundation

extension ReportPage {
  /// A table for each component; a row for each run, a column for each block.
  var changes: String {
    let all = runs.flatMap { $0.manifest.changes ?? [] }
    let components = all.reduce(into: [String]()) { names, change in
      if !names.contains(change.component) { names.append(change.component) }
    }
    let tables = components.map { component -> String in
      let own = all.filter { $0.component == component }
      let blocks = Set(own.map(\.block)).sorted()
      let largest = own.map(\.mean).max() ?? 0
      let rows = runs.indices.compactMap { index -> [String]? in
        let changes = (runs[index].manifest.changes ?? []).filter { $0.component == component }
        guard !changes.isEmpty else { return nil }
        let cells = blocks.map { block in
          changes.first { $0.block == block }.map { shaded($0, largest, color(index)) } ?? ""
        }
        return [marked(index)] + cells
      }
      let head = [HTML.text(component)] + blocks.map(String.init)
      return HTML.table(head: head, rows: rows, kind: "numbers")
    }
    return HTML.section(
      "What the edits change",
      note: "The mean of ‖Δh‖/‖h‖ over the edited tokens of some rows, by block.",
      tables.joined()
    )
  }

  private func shaded(
    _ change: RunManifest.Change,
    _ largest: Double,
    _ color: String
  ) -> String {
    let part = largest > 0 ? Int((60 * change.mean / largest).rounded()) : 0
    let title = "\(HTML.count(change.tokens)) tokens, at most \(HTML.number(change.largest))"
    return "<span class=\"heat\" title=\"\(title)\" style=\"background:color-mix(in srgb, \(color) "
      + "\(part)%, transparent)\">\(String(format: "%.3f", change.mean))</span>"
  }
}
