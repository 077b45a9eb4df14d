// SPDX-License-Identifier: Apache-2.0
// Level 2: numbers of rows, strides and layouts of calls.

import CReFTPlugin

/// The numbers of rows that calls are tried with.
private let rowCounts = [0, 1, 2, 7, 33, 64]

let shapeRules: [Rule] = [
  Rule("ABI-221", "forward writes every number of y, for 0, 1, 2, 7, 33 and the most rows planned.")
  {
    bench in
    var calls = 0
    var widths: Set<Int> = []
    for plugin in try bench.interventions() {
      for (dim, options) in try bench.served(plugin, among: Bench.widths) {
        widths.insert(dim)
        let subject = try bench.subject(plugin, dim: dim, options: options)
        for rows in rowCounts {
          let result = try subject.forward(bench.random.normals(rows * dim))
          try subject.require(result.status, "forward", rows, CallStyle())
          try requireWritten(result.findings, "forward of \(subject.describe(rows, CallStyle()))")
          calls += 1
        }
      }
    }
    return "\(calls) calls at widths \(widths.sorted().map(String.init).joined(separator: ", "))."
  },
  Rule(
    "ABI-222",
    "backward writes every number of dx, for 0, 1, 2, 7, 33 and the most rows planned."
  ) {
    bench in
    var calls = 0
    for plugin in try bench.interventions() where plugin.hasBackward {
      for (dim, options) in try bench.served(plugin, among: Bench.widths) {
        let subject = try bench.subject(plugin, dim: dim, options: options)
        for rows in rowCounts {
          let x = bench.random.normals(rows * dim)
          let result = try subject.derivative(x, bench.random.normals(rows * dim))
          try requireWritten(result.findings, "backward of \(subject.describe(rows, CallStyle()))")
          calls += 1
        }
      }
    }
    guard calls > 0 else { throw NotApplicable("It has no backward.") }
    return "\(calls) calls."
  },
  Rule("ABI-223", "Rows that lie apart (row_stride > cols) give the same numbers.") { bench in
    try bench.eachUsual { subject in
      for padding in [1, 3, 64] {
        var style = CallStyle()
        style.rowPadding = padding
        try requireSameNumbers(subject, style, "with row_stride \(subject.dim + padding)")
      }
    }
    return "The same at three row strides."
  },
  Rule("ABI-224", "Columns that lie apart give the same numbers when STRIDED is promised.") {
    bench in
    try bench.eachClaiming(REFT_CAP_STRIDED, "STRIDED") { plugin in
      let (dim, options) = try bench.usualWidth(plugin)
      let subject = try bench.subject(plugin, dim: dim, options: options)
      for stride in [2, 3] {
        var style = CallStyle()
        style.columnStride = stride
        style.rowPadding = 1
        try requireSameNumbers(subject, style, "with col_stride \(stride)")
      }
    }
    return "The same at two column strides."
  },
  Rule("ABI-225", "Nothing between the rows is written.") { bench in
    try bench.eachUsual { subject in
      var style = CallStyle()
      style.rowPadding = 5
      let x = bench.random.normals(9 * subject.dim)
      let first = try subject.forward(x, style: style)
      try requireUntouched(first.findings, "forward of \(subject.describe(9, style))")
      if subject.plugin.hasBackward {
        let second = try subject.backward(x, x, saved: first.saved, style: style)
        try requireUntouched(second.findings, "backward of \(subject.describe(9, style))")
      }
    }
    return "Padding is untouched."
  },
  Rule("ABI-226", "Inference works without saved memory and gives finite numbers.") { bench in
    try bench.eachUsual { subject in
      var style = CallStyle()
      style.training = false
      let y = try subject.y(bench.random.normals(7 * subject.dim), style: style)
      guard y.allSatisfy(\.isFinite) else {
        throw Breach("Inference with \(subject.label) gave numbers that are not finite.")
      }
    }
    return "Works with saved == NULL."
  },
  Rule("ABI-227", "rows may be NULL, or hold NULL lists.") { bench in
    try bench.eachUsual { subject in
      let x = bench.random.normals(7 * subject.dim)
      for (withRows, empty) in [(false, false), (true, true)] {
        var style = CallStyle()
        style.withRows = withRows
        style.emptyRows = empty
        if subject.plugin.hasBackward {
          _ = try subject.derivative(x, x, style: style)
        } else {
          _ = try subject.y(x, style: style)
        }
      }
    }
    return "Both work."
  },
  Rule("ABI-228", "Calls in place give the same numbers when INPLACE is promised.") { bench in
    try bench.eachClaiming(REFT_CAP_INPLACE, "INPLACE") { plugin in
      let (dim, options) = try bench.usualWidth(plugin)
      let subject = try bench.subject(plugin, dim: dim, options: options)
      var style = CallStyle()
      style.inPlace = true
      try requireSameNumbers(subject, style, "in place", tolerance: 1e-6)
    }
    return "The same in place."
  },
  Rule("ABI-229", "Working memory as planned for n rows serves every smaller number of rows.") {
    bench in
    for plugin in try bench.interventions() {
      let (dim, options) = try bench.usualWidth(plugin)
      for most in [1, 7, 200] {
        let subject = try bench.subject(plugin, dim: dim, options: options, maxRows: most)
        for rows in Set([1, most / 2, most]).sorted() where rows > 0 {
          let x = bench.random.normals(rows * dim)
          let findings =
            plugin.hasBackward
            ? try subject.derivative(x, x).findings
            : try subject.forward(x).findings
          try requireWritten(findings, "a call of \(rows) rows planned for \(most)")
        }
      }
    }
    return "Served."
  },
]

private func requireWritten(_ findings: [Finding], _ place: String) throws {
  for finding in findings {
    if case .unwritten = finding { throw Breach("In \(place), \(finding.sentence).") }
  }
}

private func requireUntouched(_ findings: [Finding], _ place: String) throws {
  for finding in findings {
    if case .padding = finding { throw Breach("In \(place), \(finding.sentence).") }
  }
}

/// Compares a call in another layout with the plain one, forward and backward.
func requireSameNumbers(
  _ subject: Subject,
  _ style: CallStyle,
  _ how: String,
  tolerance: Double = 1e-5
) throws {
  let rows = 9
  let x = subject.bench.random.normals(rows * subject.dim)
  let dy = subject.bench.random.normals(rows * subject.dim)
  try requireClose(
    try subject.y(x, style: style),
    try subject.y(x),
    tolerance,
    "forward of \(subject.label) \(how)",
    width: subject.dim
  )
  guard subject.plugin.hasBackward else { return }
  let plain = try subject.derivative(x, dy)
  // In place, x must still hold what forward read; so only the gradient shares memory.
  var forwardStyle = style
  forwardStyle.inPlace = false
  let first = try subject.forward(x, style: forwardStyle)
  let other = try subject.backward(x, dy, saved: first.saved, style: style)
  try subject.require(other.status, "backward", rows, style)
  try requireClose(
    other.dx,
    plain.dx,
    tolerance,
    "backward of \(subject.label) \(how)",
    width: subject.dim
  )
  for (index, gradient) in other.gradients.enumerated() {
    try requireClose(
      gradient,
      plain.gradients[index],
      tolerance * 10,
      "the gradient of \"\(subject.parameters[index].name)\" of \(subject.label) \(how)",
      width: subject.parameters[index].dims.last ?? 1
    )
  }
}

/// Fails when two lists differ by more than `tolerance` of their size.
func requireClose(
  _ found: [Float],
  _ expected: [Float],
  _ tolerance: Double,
  _ what: String,
  width: Int
) throws {
  guard found.count == expected.count else {
    throw Breach("\(what) gave \(found.count) numbers instead of \(expected.count).")
  }
  let size = expected.reduce(0.0) { $0 + Double($1) * Double($1) }
  let scale = max(1e-6, (size / Double(max(1, expected.count))).squareRoot())
  for at in found.indices {
    let off = abs(Double(found[at]) - Double(expected[at]))
    let limit = tolerance * (scale + abs(Double(expected[at])))
    if found[at].bitPattern != expected[at].bitPattern && !(off <= limit) {
      throw Breach(
        "\(what): \(found[at]) instead of \(expected[at]) at row \(at / max(1, width)), column "
          + "\(at % max(1, width))."
      )
    }
  }
}
