// SPDX-License-Identifier: Apache-2.0
// What plugins tell of rows. Since ABI 1.1.

import CReFTPlugin

let collectRules: [Rule] = [
  Rule("ABI-257", "Every number of collected is written, finite, and none beside it.") { bench in
    try eachTelling(bench) { subject in
      for rows in [1, 2, 7, 33] {
        let result = try subject.forward(bench.random.normals(rows * subject.dim))
        for finding in result.findings {
          switch finding {
          case .unwritten("collected", _, _, _), .padding("collected", _, _),
            .stray("collected", _):
            throw Breach("In forward of \(rows) rows of \(subject.label), \(finding.sentence).")
          default: break
          }
        }
        guard result.collected.allSatisfy(\.isFinite) else {
          throw Breach("forward of \(subject.label) tells numbers that are not finite.")
        }
      }
    }
    return "Written whole."
  },
  Rule("ABI-258", "Whether somebody asks for collected changes nothing.") { bench in
    try eachTelling(bench) { subject in
      let x = bench.random.normals(7 * subject.dim)
      var style = CallStyle()
      let asked = try subject.y(x, style: style)
      style.collects = false
      try requireClose(
        try subject.y(x, style: style),
        asked,
        1e-7,
        "forward of \(subject.label) when nobody asks for collected",
        width: subject.dim
      )
    }
    return "The same rows."
  },
]

/// Runs a body on an instance of each intervention that tells something of rows.
private func eachTelling(_ bench: Bench, _ body: (Subject) throws -> Void) throws {
  var count = 0
  try bench.eachUsual { subject in
    guard subject.workspace.collected_per_row > 0 else { return }
    count += 1
    try body(subject)
  }
  guard count > 0 else { throw NotApplicable("It tells nothing of rows.") }
}
