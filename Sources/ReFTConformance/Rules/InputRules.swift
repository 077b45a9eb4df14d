// SPDX-License-Identifier: Apache-2.0
// Inputs that the host reads for a plugin. Since ABI 1.1.

import CReFTPlugin

let inputRules: [Rule] = [
  Rule("ABI-255", "An input of any shape, or none, is served or refused cleanly.") { bench in
    var (served, refused) = (0, 0)
    try eachReader(bench) { plugin, dim, option in
      let others = try bench.needs(plugin, dim: dim).filter { $0.name != option.name }
      let shapes =
        BenchInput.shapes(dim: dim) + [[dim - 1], [1], [2, 3, 2], [7, dim + 1], [dim, dim]]
      let values = shapes.map { OptionSetting.Value.input(BenchInput(shape: $0)) }
      for value in values + [.tensorIndex(-1), .tensorIndex(4096)] {
        let setting = OptionSetting(option.name, value)
        let place = "create of \(plugin.id) at width \(dim) with \(setting)"
        do {
          let subject = try bench.subject(plugin, dim: dim, options: others + [setting])
          let y = try subject.y(bench.random.normals(5 * dim))
          guard y.allSatisfy(\.isFinite) else {
            throw Breach("forward after \(place) gives numbers that are not finite.")
          }
          served += 1
        } catch let refusal as Subject.Refusal {
          guard refusal.status < 0, refusal.status >= REFT_E_CANCELLED else {
            throw Breach("\(place) returned \(refusal.status), which is no status of the ABI.")
          }
          refused += 1
        }
      }
    }
    return "\(served) served, \(refused) refused."
  },
  Rule("ABI-256", "Inputs are never written, and what is an input gets no gradient.") { bench in
    try eachReader(bench) { plugin, dim, option in
      var options = try bench.needs(plugin, dim: dim)
      if !options.contains(where: { $0.name == option.name }) {
        for shape in BenchInput.shapes(dim: dim) {
          let more = options + [OptionSetting(option.name, .input(BenchInput(shape: shape)))]
          guard (try? bench.subject(plugin, dim: dim, options: more)) != nil else { continue }
          options = more
          break
        }
      }
      // Inputs are read-only pages, and the gradients of parameters that are inputs are NULL.
      let subject = try bench.subject(plugin, dim: dim, options: options)
      let x = bench.random.normals(5 * dim)
      if plugin.hasBackward { _ = try subject.derivative(x, x) } else { _ = try subject.y(x) }
    }
    return "Inputs stay as they are."
  },
]

/// Runs a body on each option of each intervention that names a tensor.
private func eachReader(
  _ bench: Bench,
  _ body: (Intervention, Int, OptionSchema) throws -> Void
) throws {
  var count = 0
  for plugin in try bench.interventions() {
    let options = try plugin.options().filter { $0.type == REFT_OPTION_TENSOR }
    guard !options.isEmpty else { continue }
    let (dim, _) = try bench.usualWidth(plugin)
    for option in options { try body(plugin, dim, option) }
    count += options.count
  }
  guard count > 0 else { throw NotApplicable("No option names an input.") }
}
