// SPDX-License-Identifier: Apache-2.0
// Level 3: derivatives against central differences.

import CReFTPlugin

let gradientRules: [Rule] = [
  Rule("ABI-301", "Ordinary and all-zero inputs give finite numbers, forward and backward.") {
    bench in
    try bench.eachUsual { subject in
      let n = 5 * subject.dim
      for (name, x) in [
        ("ordinary rows", bench.random.normals(n)),
        ("rows of zeros", [Float](repeating: 0, count: n)),
        ("rows of ones", [Float](repeating: 1, count: n)),
      ] {
        let forward = try subject.result(x)
        guard forward.y.allSatisfy(\.isFinite), forward.auxiliary.isFinite else {
          throw Breach("forward of \(subject.label) gives numbers that are not finite for \(name).")
        }
        guard subject.plugin.hasBackward else { continue }
        let result = try subject.derivative(x, bench.random.normals(n))
        guard result.dx.allSatisfy(\.isFinite) else {
          throw Breach("dx of \(subject.label) is not finite for \(name).")
        }
        for (index, gradient) in result.gradients.enumerated()
        where !gradient.allSatisfy(\.isFinite) {
          throw Breach(
            "The gradient of \"\(subject.parameters[index].name)\" of \(subject.label) is not "
              + "finite for \(name)."
          )
        }
      }
    }
    return "All finite."
  },
  Rule("ABI-302", "dx is the derivative of forward with respect to x.") { bench in
    try eachGradient(bench) { check, worst in
      try requireSmall(try check.directions(.x), check, .x, GradientCheck.threshold, &worst)
    }
  },
  Rule("ABI-303", "dparams is the derivative of forward with respect to every trainable parameter.")
  {
    bench in
    try eachGradient(bench) { check, worst in
      for target in check.targets.dropFirst() {
        try requireSmall(
          try check.directions(target),
          check,
          target,
          GradientCheck.threshold,
          &worst
        )
      }
    }
  },
  Rule("ABI-304", "The derivatives hold at single numbers: corners, edges and the largest.") {
    bench in
    try eachGradient(bench) { check, worst in
      for target in check.targets {
        try requireSmall(
          try check.coordinates(target),
          check,
          target,
          GradientCheck.coordinateThreshold,
          &worst
        )
      }
    }
  },
  Rule("ABI-305", "The derivatives hold for other option values.", timeoutSeconds: 60) { bench in
    var worst = GradientCheck.Worst()
    var count = 0
    for plugin in try bench.interventions() where plugin.hasBackward {
      let (dim, usual) = try bench.usualWidth(plugin)
      for option in try plugin.options() {
        for value in allowedValues(option) {
          let options =
            usual.filter { $0.name != option.name } + [OptionSetting(option.name, value)]
          guard let subject = try? bench.subject(plugin, dim: dim, options: options) else {
            continue
          }
          guard subject.parameters.reduce(0, { $0 + $1.count }) < 100_000 else { continue }
          count += 1
          let check = try GradientCheck(subject, rows: 3)
          for target in check.targets {
            try requireSmall(
              try check.directions(target, count: 2),
              check,
              target,
              GradientCheck.threshold,
              &worst
            )
          }
        }
      }
    }
    guard count > 0 else { throw NotApplicable("It has no backward or no options.") }
    return "\(count) option values, largest error \(brief(worst.error))."
  },
]

/// Runs a body on derivatives at a few widths of each intervention that has them.
private func eachGradient(
  _ bench: Bench,
  _ body: (GradientCheck, inout GradientCheck.Worst) throws -> Void
) throws -> String {
  var worst = GradientCheck.Worst()
  var count = 0
  for plugin in try bench.interventions() where plugin.hasBackward {
    let (usual, _) = try bench.usualWidth(plugin)
    for (dim, rows) in [(usual, 5), (9, 1), (17, 4)] {
      guard let options = try bench.acceptedOptions(plugin, dim: dim) else { continue }
      let subject = try bench.subject(plugin, dim: dim, options: options)
      try body(try GradientCheck(subject, rows: rows), &worst)
      count += 1
    }
  }
  guard count > 0 else { throw NotApplicable("It has no backward.") }
  return "\(count) instances, largest error \(brief(worst.error))"
    + (worst.place.isEmpty ? "." : " at \(worst.place).")
}

func requireSmall(
  _ found: GradientCheck.Worst,
  _ check: GradientCheck,
  _ target: GradientCheck.Target,
  _ threshold: Double,
  _ worst: inout GradientCheck.Worst
) throws {
  if found.error > worst.error { worst = found }
  guard !(found.error <= threshold) else { return }
  throw Breach(
    "The gradient of \(check.name(target)) of \(check.subject.label) is wrong in \(found.place): "
      + "the plugin says \(brief(found.analytic)), central differences say \(brief(found.numeric)); "
      + "error \(brief(found.error)), allowed \(brief(threshold))."
  )
}
