// SPDX-License-Identifier: Apache-2.0
// Level 2: every buffer lies between forbidden pages, and inputs are read-only. A plugin that strays
// crashes at the instruction, and the message names the buffer and the distance.

import CReFTPlugin

let boundsRules: [Rule] = [
  Rule("ABI-231", "Nothing past the end of any buffer is read or written.") { bench in
    try strayCalls(bench, side: .end)
    return "No access past an end."
  },
  Rule("ABI-232", "Nothing before the start of any buffer is read or written.") { bench in
    try strayCalls(bench, side: .start)
    return "No access before a start."
  },
  Rule("ABI-233", "x, dy, source, counterpart, params, rows and the arguments are never written.") {
    bench in
    // They are read-only pages in every call; this rule runs the calls that write the most.
    try bench.eachUsual { subject in
      for rows in [1, 7] {
        let x = bench.random.normals(rows * subject.dim)
        var style = CallStyle()
        style.reuseParameters = false
        if subject.plugin.hasBackward {
          _ = try subject.derivative(x, x, style: style)
        } else {
          _ = try subject.y(x, style: style)
        }
      }
    }
    return "Inputs stay as they are."
  },
  Rule("ABI-234", "saved is written only within the bytes that plan asked for.") { bench in
    try requireInside(bench, buffer: "saved")
    return "Inside."
  },
  Rule("ABI-235", "scratch is touched only within the bytes that plan asked for.") { bench in
    try requireInside(bench, buffer: "scratch")
    return "Inside."
  },
  Rule("ABI-236", "The gradient of each parameter stays within its own buffer.") { bench in
    var checked = 0
    try bench.eachUsual { subject in
      guard subject.plugin.hasBackward else { return }
      checked += 1
      let x = bench.random.normals(7 * subject.dim)
      let result = try subject.derivative(x, x)
      for finding in result.findings {
        if case .stray(let buffer, _) = finding, buffer.hasPrefix("dparams") {
          throw Breach("In backward of \(subject.label), \(finding.sentence).")
        }
      }
    }
    guard checked > 0 else { throw NotApplicable("It has no backward.") }
    return "Each gradient stays in its buffer."
  },
]

private func strayCalls(_ bench: Bench, side: GuardedBuffer.Side) throws {
  for plugin in try bench.interventions() {
    for (dim, options) in try bench.served(plugin, among: [7, 24, 577]) {
      let subject = try bench.subject(plugin, dim: dim, options: options)
      for rows in [1, 2, 7] {
        for padding in [0, 3] {
          var style = CallStyle()
          style.side = side
          style.rowPadding = padding
          let x = bench.random.normals(rows * dim)
          let first = try subject.forward(x, style: style)
          var findings = first.findings
          if plugin.hasBackward {
            findings += try subject.backward(x, x, saved: first.saved, style: style).findings
          }
          for finding in findings {
            if case .stray = finding {
              throw Breach("In a call of \(subject.describe(rows, style)), \(finding.sentence).")
            }
          }
        }
      }
    }
  }
}

private func requireInside(_ bench: Bench, buffer name: String) throws {
  for plugin in try bench.interventions() {
    for (dim, options) in try bench.served(plugin, among: [7, 24, 64]) {
      let subject = try bench.subject(plugin, dim: dim, options: options)
      for rows in [1, 3, 33] {
        for side in [GuardedBuffer.Side.end, .start] {
          var style = CallStyle()
          style.side = side
          let x = bench.random.normals(rows * dim)
          let first = try subject.forward(x, style: style)
          var findings = first.findings
          if plugin.hasBackward {
            findings += try subject.backward(x, x, saved: first.saved, style: style).findings
          }
          for finding in findings {
            if case .stray(name, _) = finding {
              throw Breach(
                "\(subject.describe(rows, style)): \(finding.sentence), though plan asked for "
                  + "\(subject.savedBytes(rows: rows)) saved and "
                  + "\(subject.scratchBytes(rows: rows)) scratch bytes."
              )
            }
          }
        }
      }
    }
  }
}
