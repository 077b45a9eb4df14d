// SPDX-License-Identifier: Apache-2.0
// Level 6: what a plugin brings for a card (reft.cuda/1) against what it does on the host.

import ReFTTensor

/// A rule of device forms, as it is judged case by case.
struct DeviceRule: Sendable {
  let rule: Rule
  /// Compares the two forms in one case; returns the error, and throws a `Breach`.
  let judge: @Sendable (DeviceCase, DeviceBench) throws -> Double
}

/// The error, relative to the largest number of an output, up to which two forms agree: both round
/// sums of float32, in another order.
private let threshold = 1e-4

let deviceRules: [DeviceRule] = [
  DeviceRule("ABI-601", "reft.cuda/1: the device form edits rows as forward does.") { one, bench in
    var worst = 0.0
    for isTraining in [false, true] {
      let inputs = one.inputs(&bench.random)
      guard let program = try one.program(isTraining: isTraining) else { continue }
      let expected = try one.onHost(inputs, isTraining: isTraining, backward: false)
      let found = try bench.run(program, one, inputs, isTraining: isTraining, backward: false)
      worst = max(worst, try requireAgreement(found.y, expected.y, "y", one))
    }
    return worst
  },
  DeviceRule("ABI-602", "reft.cuda/1: the device form differentiates as backward does.") {
    one,
    bench in
    guard one.hasBackward, let program = try one.program(isTraining: true) else { return 0 }
    let inputs = one.inputs(&bench.random)
    let expected = try one.onHost(inputs, isTraining: true, backward: true)
    let found = try bench.run(program, one, inputs, isTraining: true, backward: true)
    var worst = try requireAgreement(found.dx, expected.dx, "dx", one)
    for (index, name) in one.parameterNames.enumerated() {
      let what = "the gradient of \"\(name)\""
      let error = try requireAgreement(
        found.gradients[index],
        expected.gradients[index],
        what,
        one
      )
      worst = max(worst, error)
    }
    return worst
  },
  DeviceRule(
    "ABI-603",
    "reft.cuda/1: the same call again gives the same bits, whatever memory held."
  ) { one, bench in
    let isTraining = try one.hasBackward && one.program(isTraining: true) != nil
    guard let program = try one.program(isTraining: isTraining) else { return 0 }
    let inputs = one.inputs(&bench.random)
    var results: [DeviceOutputs] = []
    for fill in [Float.nan, 7] {
      results.append(
        try bench.run(
          program,
          one,
          inputs,
          isTraining: isTraining,
          backward: isTraining,
          fill: fill
        )
      )
    }
    for (name, first, second) in zip(results[0].named(one), results[1].named(one)).map({
      ($0.0, $0.1, $1.1)
    }) {
      guard let at = firstDifference(first, second) else { continue }
      throw Breach(
        "\(name) of \(one) is \(first[at]) and, in the same call again, \(second[at]) at index \(at)."
      )
    }
    return 0
  },
  DeviceRule("ABI-604", "reft.cuda/1: the kernels write their outputs and nothing else.") {
    one,
    bench in
    let isTraining = try one.hasBackward && one.program(isTraining: true) != nil
    guard let program = try one.program(isTraining: isTraining) else { return 0 }
    let inputs = one.inputs(&bench.random)
    let found = try bench.run(
      program,
      one,
      inputs,
      isTraining: isTraining,
      backward: isTraining
    )
    guard let place = found.strayWrite else { return 0 }
    throw Breach("The device form of \(one) writes \(place).")
  },
]

extension DeviceRule {
  fileprivate init(
    _ id: String,
    _ title: String,
    judge: @escaping @Sendable (DeviceCase, DeviceBench) throws -> Double
  ) {
    self.judge = judge
    rule = Rule(id, title) { _ in
      throw NotApplicable("Run on a card alone: reft plugin check FILE --device cuda.")
    }
  }
}

/// The largest difference, relative to the largest number expected; a breach above the threshold.
private func requireAgreement(
  _ found: [Float],
  _ expected: [Float],
  _ what: String,
  _ one: DeviceCase
) throws -> Double {
  let scale = max(1e-6, expected.reduce(0) { max($0, Double(abs($1))) })
  var worst = (error: 0.0, index: 0)
  for index in expected.indices {
    let error = abs(Double(found[index]) - Double(expected[index])) / scale
    // Written so that NaN is worse than any number.
    if !(error <= worst.error) { worst = (error.isNaN ? .infinity : error, index) }
  }
  guard worst.error > threshold else { return worst.error }
  throw Breach(
    "\(what) of \(one) is \(found[worst.index]) on the card and \(expected[worst.index]) on the host "
      + "at index \(worst.index); error \(brief(worst.error)), allowed \(brief(threshold))."
  )
}
