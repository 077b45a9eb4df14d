// SPDX-License-Identifier: Apache-2.0
// Level 3: what a plugin is told of a run, and the loss that it adds itself.

import CReFTPlugin

let runRules: [Rule] = [
  Rule("ABI-341", "Every step of a run, and no run at all, gives finite numbers.") { bench in
    try bench.eachUsual { subject in
      let x = bench.random.normals(5 * subject.dim)
      for (step, total): (Int64, Int64) in [(0, 0), (0, 1), (0, 10), (9, 10), (1 << 40, 1 << 41)] {
        var style = CallStyle()
        style.progress = (step, total)
        let forward = try subject.result(x, style: style)
        let place = "of \(subject.label) at step \(step) of \(total)"
        guard forward.y.allSatisfy(\.isFinite) else {
          throw Breach("forward \(place) gives numbers that are not finite.")
        }
        guard subject.plugin.hasBackward else { continue }
        let back = try subject.derivative(x, x, style: style)
        guard back.dx.allSatisfy(\.isFinite), back.gradients.joined().allSatisfy(\.isFinite) else {
          throw Breach("backward \(place) gives numbers that are not finite.")
        }
      }
    }
    return "Finite at all of them."
  },
  Rule("ABI-342", "AUXILIARY_LOSS: forward adds to *auxiliary and never replaces it.") { bench in
    try eachWithLoss(bench) { subject in
      let x = bench.random.normals(5 * subject.dim)
      let plain = try subject.result(x).auxiliary
      for start in [3.5, -1000.25] {
        var style = CallStyle()
        style.auxiliary = start
        let found = try subject.result(x, style: style).auxiliary
        try requireSum(found, start + plain, subject, "when \(start) stood there before")
      }
    }
  },
  Rule("ABI-343", "AUXILIARY_LOSS: y, dx and dparams of dy are the same when nobody asks.") {
    bench in
    try eachWithLoss(bench) { subject in
      let x = bench.random.normals(5 * subject.dim)
      var style = CallStyle()
      style.auxiliaryGradient = 0
      let asked = try subject.derivative(x, x, style: style)
      let expected = try subject.y(x, style: style)
      style.auxiliary = nil
      let found = try subject.derivative(x, x, style: style)
      try requireClose(
        try subject.y(x, style: style),
        expected,
        1e-6,
        "forward of \(subject.label) with auxiliary NULL",
        width: subject.dim
      )
      try requireClose(
        found.dx,
        asked.dx,
        1e-5,
        "dx of \(subject.label) after a forward with auxiliary NULL",
        width: subject.dim
      )
    }
  },
  Rule("ABI-344", "AUXILIARY_LOSS: the loss of all rows is the sum of the losses of their parts.") {
    bench in
    try eachWithLoss(bench) { subject in
      guard subject.plugin.has(REFT_CAP_ROWWISE) else { return }
      let (d, rows) = (subject.dim, 6)
      let x = bench.random.normals(rows * d)
      var style = CallStyle()
      style.emptyRows = true
      var sum = 0.0
      for part in [0..<1, 1..<4, 4..<rows] {
        let own = Array(x[part.lowerBound * d..<part.upperBound * d])
        sum += try subject.result(own, style: style).auxiliary
      }
      let whole = try subject.result(x, style: style).auxiliary
      try requireSum(whole, sum, subject, "over 6 rows at once, and in parts of 1, 3 and 2")
    }
  },
]

private func eachWithLoss(_ bench: Bench, _ body: (Subject) throws -> Void) throws -> String {
  var count = 0
  try bench.eachUsual { subject in
    guard subject.plugin.has(REFT_CAP_AUXILIARY_LOSS) else { return }
    count += 1
    try body(subject)
  }
  guard count > 0 else { throw NotApplicable("It does not say AUXILIARY_LOSS.") }
  return "So it is."
}

private func requireSum(
  _ found: Double,
  _ expected: Double,
  _ subject: Subject,
  _ when: String
) throws {
  guard abs(found - expected) <= 1e-4 * max(1, abs(expected)) else {
    throw Breach(
      "The auxiliary loss of \(subject.label) is \(brief(found)) \(when); expected \(brief(expected))."
    )
  }
}
