// SPDX-License-Identifier: Apache-2.0
// Where rows come from: position rules without a list, and names of sequences. Since ABI 1.1.

import CReFTPlugin

let placeRules: [Rule] = [
  Rule("ABI-209", "A position rule without a list (n_locations 0) is served or refused cleanly.") {
    bench in
    var refused = 0
    for plugin in try bench.interventions() {
      let (dim, options) = try bench.usualWidth(plugin)
      bench.doing("create of \(plugin.id) for a rule that lists no locations")
      let made = try Creation(
        plugin,
        dim: dim,
        dtype: REFT_F32,
        options: options,
        host: bench.host(),
        layer: 3,
        locations: 0
      )
      guard let instance = made.instance else {
        try requireCleanRefusal(made, "create of \(plugin.id) with n_locations 0", bench)
        refused += 1
        continue
      }
      plugin.destroy(instance)
      let subject = try bench.subject(plugin, dim: dim, options: options, locations: 0)
      let y = try subject.y(bench.random.normals(7 * dim))
      guard y.allSatisfy(\.isFinite) else {
        throw Breach(
          "forward of \(subject.label) gives numbers that are not finite for rows of no location."
        )
      }
    }
    return refused == 0 ? "Served." : "\(refused) interventions want a list, and say so."
  },
  Rule("ABI-409", "Numbers follow the sequence's key, not its index in the batch.") { bench in
    // To one of ABI 1.0 the host gives the key as the index.
    for plugin in try bench.interventions() where plugin.minor > 0 {
      let (dim, options) = try bench.usualWidth(plugin)
      try requireUnmoved(try bench.subject(plugin, dim: dim, options: options), bench)
      for option in try plugin.options() {
        for setting in otherSettings(option) {
          let options = options.filter { $0.name != option.name } + [setting]
          guard let other = try? bench.subject(plugin, dim: dim, options: options) else { continue }
          try requireUnmoved(other, bench)
        }
      }
    }
    return "A sequence may stand anywhere in a batch."
  },
]

/// Compares a training call with the same one whose sequences stand elsewhere in the batch.
private func requireUnmoved(_ subject: Subject, _ bench: Bench) throws {
  let x = bench.random.normals(9 * subject.dim)
  var style = CallStyle()
  let usual = try subject.y(x, style: style)
  style.exampleShift = 3
  try requireClose(
    try subject.y(x, style: style),
    usual,
    1e-5,
    "forward of \(subject.label), whose sequences have the same keys and stand elsewhere in the batch",
    width: subject.dim
  )
}
