// SPDX-License-Identifier: Apache-2.0
// Levels 2 and 3: the gradient of what a layer reads.

import CReFTPlugin

let sourceFlagRules: [Rule] = [
  Rule("ABI-252", "SOURCE_GRADIENT: backward writes every number of dsource.") { bench in
    try eachWithSourceGradient(bench) { subject in
      for rows in [1, 2, 7, 33] {
        let x = bench.random.normals(rows * subject.dim)
        for finding in try subject.derivative(x, x).findings {
          guard case .unwritten("dsource", _, _, _) = finding else { continue }
          throw Breach("In backward of \(subject.label), \(finding.sentence).")
        }
      }
    }
  },
  Rule("ABI-253", "Without NEED_DSOURCE, dsource is left alone and may be absent.") { bench in
    try eachWithSourceGradient(bench) { subject in
      let x = bench.random.normals(5 * subject.dim)
      let plain = try subject.derivative(x, x)
      var style = CallStyle()
      style.needDSource = false
      let written = try subject.derivative(x, x, style: style).dsource
        .count { $0.bitPattern != unwrittenPattern }
      guard written == 0 else {
        throw Breach("backward of \(subject.label) wrote \(written) numbers of dsource unasked.")
      }
      style.absentOutputs = true
      try requireClose(
        try subject.derivative(x, x, style: style).dx,
        plain.dx,
        1e-5,
        "without dsource, dx of \(subject.label)",
        width: subject.dim
      )
    }
  },
]

let sourceGradientRules: [Rule] = [
  Rule("ABI-345", "SOURCE_GRADIENT: dsource is the derivative of forward with respect to source.") {
    bench in
    var worst = GradientCheck.Worst()
    return try eachWithSourceGradient(bench) { subject in
      let check = try GradientCheck(subject, rows: 5)
      try requireSmall(
        try check.directions(.source),
        check,
        .source,
        GradientCheck.threshold,
        &worst
      )
      try requireSmall(
        try check.coordinates(.source),
        check,
        .source,
        GradientCheck.coordinateThreshold,
        &worst
      )
    }
  },
  Rule("ABI-346", "SOURCE_GRADIENT: backward overwrites dsource, whatever it held.") { bench in
    try eachWithSourceGradient(bench) { subject in
      let x = bench.random.normals(5 * subject.dim)
      let plain = try subject.derivative(x, x)
      for fill: Float in [0, 1000, -3] {
        var style = CallStyle()
        style.dsourceFill = fill.bitPattern
        try requireClose(
          try subject.derivative(x, x, style: style).dsource,
          plain.dsource,
          1e-5,
          "dsource of \(subject.label) when it held \(fill) before",
          width: subject.sourceDim
        )
      }
    }
  },
]

private func eachWithSourceGradient(
  _ bench: Bench,
  _ body: (Subject) throws -> Void
) throws -> String {
  var count = 0
  try bench.eachUsual { subject in
    guard subject.plugin.has(REFT_CAP_SOURCE_GRADIENT), subject.plugin.hasBackward else { return }
    count += 1
    try body(subject)
  }
  guard count > 0 else { throw NotApplicable("It does not say SOURCE_GRADIENT.") }
  return "So it is."
}
