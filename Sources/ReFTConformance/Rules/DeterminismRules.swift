// SPDX-License-Identifier: Apache-2.0
// Level 4: the same input gives the same output, whatever else happened.

import CReFTPlugin
import Synchronization

let determinismRules: [Rule] = [
  Rule("ABI-401", "The same call again gives the same numbers, other calls in between or not.") {
    bench in
    try bench.eachUsual { subject in
      let sample = Sample(subject, bench)
      let first = try sample.run(subject)
      for round in 0..<3 {
        _ = try subject.y(bench.random.normals((round + 2) * subject.dim, scale: 10))
        try requireSame(try sample.run(subject), first, subject, "in repetition \(round + 2)")
      }
    }
    return "The same each time."
  },
  Rule("ABI-402", "Two instances do not disturb each other.") { bench in
    for plugin in try bench.interventions() {
      let (dim, options) = try bench.usualWidth(plugin)
      let a = try bench.subject(plugin, dim: dim, options: options)
      let sample = Sample(a, bench)
      let alone = try sample.run(a)
      let b = try bench.subject(plugin, dim: dim, options: options, layer: 9)
      b.values = b.values.map { list in list.map { $0 * -1.7 + 0.1 } }
      let otherX = bench.random.normals(6 * dim)
      let b0 = try b.y(otherX)
      try requireSame(try sample.run(a), alone, a, "after a call of another instance")
      try requireClose(
        try b.y(otherX),
        b0,
        1e-6,
        "forward of the second instance of \(b.label)",
        width: dim
      )
      if plugin.hasBackward {
        let first = try a.forward(sample.x)
        _ = try b.derivative(otherX, otherX)
        let back = try a.backward(sample.x, sample.dy, saved: first.saved)
        try requireClose(
          back.dx,
          alone.dx,
          1e-6,
          "dx of \(a.label), with another instance's calls between its forward and backward",
          width: dim
        )
      }
      b.end()
      try requireSame(try sample.run(a), alone, a, "after another instance ended")
    }
    return "Independent."
  },
  Rule("ABI-403", "A call from another thread gives the same numbers.") { bench in
    try bench.eachUsual { subject in
      let sample = Sample(subject, bench)
      _ = try sample.run(subject)  // The first call of this thread is behind us.
      let first = try sample.run(subject)
      for _ in 0..<2 {
        try requireSame(
          try onThread { try sample.run(subject) },
          first,
          subject,
          "on another thread"
        )
      }
    }
    return "The same from anywhere."
  },
  Rule("ABI-404", "REENTRANT: calls at the same time on one instance give the same numbers.") {
    bench in
    try bench.eachClaiming(REFT_CAP_REENTRANT, "REENTRANT") { plugin in
      let (dim, options) = try bench.usualWidth(plugin)
      let subject = try bench.subject(plugin, dim: dim, options: options)
      let samples = (0..<3).map { _ in Sample(subject, bench, rows: 24) }
      let alone = try samples.map { try $0.run(subject) }
      for _ in 0..<25 {
        let together = try atOnce(samples.count) { try samples[$0].run(subject) }
        for (index, result) in together.enumerated() {
          try requireSame(
            result,
            alone[index],
            subject,
            "while \(samples.count - 1) other calls ran"
          )
        }
      }
    }
    return "75 concurrent calls, all the same."
  },
  Rule("ABI-405", "Results do not depend on what scratch, saved or the outputs held before.") {
    bench in
    try bench.eachUsual { subject in
      let sample = Sample(subject, bench)
      let first = try sample.run(subject)
      for fill: UInt8 in [0, 0xFF, 0x7F, 0x01] {
        var style = CallStyle()
        style.scratchFill = fill
        style.savedFill = fill
        style.dxFill = UInt32(fill) << 8
        try requireSame(
          try sample.run(subject, style),
          first,
          subject,
          "when memory was filled with 0x\(String(fill, radix: 16)) before"
        )
      }
    }
    return "Dirty memory changes nothing."
  },
  Rule("ABI-406", "Randomness depends on (key, step) alone.") { bench in
    try bench.eachUsual { subject in
      try requireKeyed(subject, bench)
      for option in try subject.plugin.options() where option.type == REFT_OPTION_FLOAT {
        for setting in otherSettings(option) {
          let options = subject.options.filter { $0.name != option.name } + [setting]
          guard let other = try? bench.subject(subject.plugin, dim: subject.dim, options: options)
          else { continue }
          try requireKeyed(other, bench)
        }
      }
    }
    return "The same pair, the same numbers."
  },
  Rule("ABI-407", "Results do not depend on how parallel_for runs its pieces.") { bench in
    for plugin in try bench.interventions() {
      let (dim, options) = try bench.usualWidth(plugin)
      let host = try HostServices()
      let subject = try bench.subject(plugin, dim: dim, options: options, host: host)
      let sample = Sample(subject, bench, rows: 64)
      let first = try sample.run(subject)
      host.order = .descending
      try requireSame(
        try sample.run(subject),
        first,
        subject,
        "when parallel_for runs its pieces backwards"
      )
      host.order = .threads
      for _ in 0..<10 {
        try requireSame(
          try sample.run(subject),
          first,
          subject,
          "when parallel_for uses two threads"
        )
      }
    }
    return "The same in any order."
  },
  Rule(
    "ABI-408",
    "reft.deterministic/1: numbers depend on x and the parameters alone, in training too."
  ) { bench in
    var count = 0
    for plugin in try bench.interventions() {
      let (dim, options) = try bench.usualWidth(plugin)
      let usual = try bench.subject(plugin, dim: dim, options: options)
      count += try requireDeterministic(usual, bench)
      for option in try plugin.options() {
        for setting in otherSettings(option) {
          let options = options.filter { $0.name != option.name } + [setting]
          guard let other = try? bench.subject(plugin, dim: dim, options: options) else { continue }
          count += try requireDeterministic(other, bench)
        }
      }
    }
    guard count > 0 else { throw NotApplicable("No instance promises reft.deterministic/1.") }
    return "\(count) instances, the same at other keys, steps and places."
  },
]

/// One input with its results.
private struct Sample {
  struct Results {
    var y: [Float]
    var auxiliary: Double
    var dx: [Float]
    var gradients: [[Float]]
  }

  let x: [Float]
  let dy: [Float]

  init(_ subject: Subject, _ bench: Bench, rows: Int = 9) {
    x = bench.random.normals(rows * subject.dim)
    dy = bench.random.normals(rows * subject.dim)
  }

  func run(_ subject: Subject, _ style: CallStyle = CallStyle()) throws -> Results {
    var style = style
    style.reuseParameters = false
    let first = try subject.forward(x, style: style)
    try subject.require(first.status, "forward", x.count / subject.dim, style)
    guard subject.plugin.hasBackward else {
      return Results(y: first.y, auxiliary: first.auxiliary, dx: [], gradients: [])
    }
    let second = try subject.backward(x, dy, saved: first.saved, style: style)
    try subject.require(second.status, "backward", x.count / subject.dim, style)
    return Results(
      y: first.y,
      auxiliary: first.auxiliary,
      dx: second.dx,
      gradients: second.gradients
    )
  }
}

/// Bit for bit where BITWISE is promised, else within rounding.
private func requireSame(
  _ found: Sample.Results,
  _ expected: Sample.Results,
  _ subject: Subject,
  _ when: String
) throws {
  var pairs = [
    ("y", found.y, expected.y), ("dx", found.dx, expected.dx),
    ("the auxiliary loss", [Float(found.auxiliary)], [Float(expected.auxiliary)]),
  ]
  for index in found.gradients.indices {
    pairs.append(
      (
        "the gradient of \"\(subject.parameters[index].name)\"", found.gradients[index],
        expected.gradients[index]
      )
    )
  }
  for (name, a, b) in pairs {
    if subject.plugin.has(REFT_CAP_BITWISE) {
      if let at = firstDifference(a, b) {
        throw Breach(
          "\(subject.label) promises BITWISE, but \(when), \(name) is \(a[at]) instead of \(b[at]) "
            + "at index \(at)."
        )
      }
    } else {
      try requireClose(a, b, 1e-5, "\(subject.label), \(when): \(name)", width: subject.dim)
    }
  }
}

/// Values of an option that are not its default and may switch something on: dropout is off by default,
/// and the middle of its range switches it on.
func otherSettings(_ option: OptionSchema) -> [OptionSetting] {
  switch option.type {
  case REFT_OPTION_FLOAT:
    let low = option.hasRange ? max(option.minimum, -4) : 0
    let high = option.hasRange ? min(option.maximum, 4) : 1
    return [OptionSetting(option.name, .float(low + (high - low) * 0.4))]
  case REFT_OPTION_FLAG: return [OptionSetting(option.name, .flag(1 - option.defaultInt))]
  case REFT_OPTION_STRING:
    return option.choices.filter { $0 != option.defaultString }.map {
      OptionSetting(option.name, .string($0))
    }
  default: return []
  }
}

/// Compares calls with other keys and other rows' places, where the instance promises that they do not
/// matter; returns how many instances that were.
private func requireDeterministic(_ subject: Subject, _ bench: Bench) throws -> Int {
  bench.doing("extension of \(subject.label)")
  guard subject.plugin.table.pointee.extension?(subject.instance, "reft.deterministic/1") != nil
  else { return 0 }
  let sample = Sample(subject, bench)
  var style = CallStyle()
  style.rngKey = 77
  style.rngStep = 6
  style.emptyRows = true
  try requireSame(
    try sample.run(subject, style),
    try sample.run(subject),
    subject,
    "which also says reft.deterministic/1, with another (key, step) and no places"
  )
  return 1
}

private func requireKeyed(_ subject: Subject, _ bench: Bench) throws {
  let sample = Sample(subject, bench)
  var style = CallStyle()
  let first = try sample.run(subject, style)
  style.rngKey = 77
  style.rngStep = 6
  _ = try sample.run(subject, style)
  try requireSame(
    try sample.run(subject),
    first,
    subject,
    "with the same (key, step) after calls with another"
  )
}

/// Runs a body on another thread and hands back its result or error.
func onThread<T>(_ body: @escaping () throws -> T) throws -> T {
  try atOnce(1) { _ in try body() }[0]
}

/// Runs a body several times at once.
private func atOnce<T>(_ count: Int, _ body: @escaping (Int) throws -> T) throws -> [T] {
  var results = [Result<T, any Error>?](repeating: nil, count: count)
  results.withUnsafeMutableBufferPointer { slots in
    let slots = slots
    let threads = (0..<count).map { index in
      BenchThread { slots[index] = Result { try body(index) } }
    }
    for thread in threads { thread.join() }
  }
  return try results.compactMap { try $0?.get() }
}
