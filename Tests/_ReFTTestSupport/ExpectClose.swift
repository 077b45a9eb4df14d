// SPDX-License-Identifier: Apache-2.0
// Comparison of float32 numbers that says where, and by how much, they differ.

public import Testing

/// Expects two runs of numbers to agree within `tolerance + relative × |expected|` each.
///
/// The failure names the worst index and both values; a NaN agrees with nothing.
public func expectClose(
  _ actual: some Collection<Float>,
  _ expected: some Collection<Float>,
  tolerance: Float,
  relative: Float = 0,
  _ note: String = "",
  sourceLocation: SourceLocation = #_sourceLocation
) {
  guard actual.count == expected.count else {
    Issue.record(
      "\(actual.count) values, expected \(expected.count) \(note)",
      sourceLocation: sourceLocation
    )
    return
  }
  var worst = (index: 0, excess: -Float.infinity, actual: Float(0), expected: Float(0))
  var failures = 0
  for (index, (actual, expected)) in zip(actual, expected).enumerated() {
    if actual == expected { continue }
    let difference = abs(actual - expected)
    let allowed = tolerance + relative * abs(expected)
    if difference <= allowed { continue }
    failures += 1
    let excess =
      difference.isNaN ? Float.infinity : difference / max(allowed, .leastNonzeroMagnitude)
    if failures == 1 || excess > worst.excess { worst = (index, excess, actual, expected) }
  }
  if failures > 0 {
    let spacing = max(worst.expected.ulp, .leastNonzeroMagnitude)
    Issue.record(
      """
      \(failures) of \(actual.count) values differ \(note): worst at \(worst.index), \
      \(worst.actual) where \(worst.expected) was expected, \
      off by \(abs(worst.actual - worst.expected)) \
      (\(abs(worst.actual - worst.expected) / spacing) units in the last place), \
      tolerance \(tolerance) + \(relative) × |expected|
      """,
      sourceLocation: sourceLocation
    )
  }
}

/// Expects two numbers to agree within `tolerance + relative × |expected|`.
public func expectClose(
  _ actual: Float,
  _ expected: Float,
  tolerance: Float,
  relative: Float = 0,
  _ note: String = "",
  sourceLocation: SourceLocation = #_sourceLocation
) {
  expectClose(
    CollectionOfOne(actual),
    CollectionOfOne(expected),
    tolerance: tolerance,
    relative: relative,
    note,
    sourceLocation: sourceLocation
  )
}

/// Expects two tensors to agree: ‖actual − expected‖ ≤ tolerance × ‖expected‖, in L2 norm.
public func expectCloseNorm(
  _ actual: some Collection<Float>,
  _ expected: some Collection<Float>,
  relative tolerance: Double,
  _ note: String = "",
  sourceLocation: SourceLocation = #_sourceLocation
) {
  guard actual.count == expected.count else {
    Issue.record(
      "\(actual.count) values, expected \(expected.count) \(note)",
      sourceLocation: sourceLocation
    )
    return
  }
  var difference = 0.0
  var size = 0.0
  for (actual, expected) in zip(actual, expected) {
    difference += (Double(actual) - Double(expected)) * (Double(actual) - Double(expected))
    size += Double(expected) * Double(expected)
  }
  let (distance, norm) = (difference.squareRoot(), size.squareRoot())
  // Written so that NaN fails.
  if !(distance <= tolerance * norm) {
    Issue.record(
      "the L2 distance is \(distance), \(distance / norm) of the norm \(norm), allowed \(tolerance) \(note)",
      sourceLocation: sourceLocation
    )
  }
}

/// Expects two runs of numbers to be the same bit for bit, NaN included.
public func expectIdentical(
  _ actual: some Collection<Float>,
  _ expected: some Collection<Float>,
  _ note: String = "",
  sourceLocation: SourceLocation = #_sourceLocation
) {
  guard actual.count == expected.count else {
    Issue.record(
      "\(actual.count) values, expected \(expected.count) \(note)",
      sourceLocation: sourceLocation
    )
    return
  }
  let different = zip(actual, expected).enumerated().first {
    $0.element.0.bitPattern != $0.element.1.bitPattern
  }
  if let (index, (actual, expected)) = different {
    Issue.record(
      "value \(index) is \(actual) where exactly \(expected) was expected \(note)",
      sourceLocation: sourceLocation
    )
  }
}
