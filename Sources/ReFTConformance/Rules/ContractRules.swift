// SPDX-License-Identifier: Apache-2.0
// Level 3: what backward does to its outputs, and how forwards and backwards may follow each other.

import CReFTPlugin

let contractRules: [Rule] = [
  Rule("ABI-311", "backward overwrites dx, whatever it held.") { bench in
    try eachBackward(bench) { subject in
      let x = bench.random.normals(5 * subject.dim)
      let plain = try subject.derivative(x, x)
      for fill: Float in [0, 1000, -3] {
        var style = CallStyle()
        style.dxFill = fill.bitPattern
        let other = try subject.derivative(x, x, style: style)
        if let at = firstDifference(other.dx, plain.dx), !close(other.dx[at], plain.dx[at]) {
          throw Breach(
            "dx of \(subject.label) is \(plain.dx[at]) at row \(at / subject.dim), column "
              + "\(at % subject.dim), but \(other.dx[at]) when dx held \(fill) before."
          )
        }
      }
    }
    return "Overwritten."
  },
  Rule("ABI-312", "backward adds to dparams and never replaces them.") { bench in
    try eachBackward(bench) { subject in
      let x = bench.random.normals(5 * subject.dim)
      let plain = try subject.derivative(x, x)
      let first = try subject.forward(x)
      let start: [[Float]] = plain.gradients.map { list in list.indices.map { Float($0 % 7) - 3 } }
      let second = try subject.backward(x, x, saved: first.saved, into: start)
      let third = try subject.backward(x, x, saved: first.saved, into: second.gradients)
      for (index, parameter) in subject.parameters.enumerated() where parameter.isTrainable {
        for at in start[index].indices {
          let g = Double(plain.gradients[index][at])
          let one = Double(start[index][at]) + g
          for (times, found, wanted) in [
            ("once", Double(second.gradients[index][at]), one),
            ("twice", Double(third.gradients[index][at]), one + g),
          ] where !(abs(found - wanted) <= 1e-4 * (4 + abs(g))) {
            throw Breach(
              "The gradient of \"\(parameter.name)\" of \(subject.label), \(brief(g)) at index \(at), "
                + "was added \(times) to \(start[index][at]) and gave \(brief(found)); expected "
                + "\(brief(wanted))."
            )
          }
        }
      }
    }
    return "Accumulated."
  },
  Rule("ABI-313", "backward is linear in dy.") { bench in
    try eachBackward(bench) { subject in
      let n = 5 * subject.dim
      let x = bench.random.normals(n)
      let dy = bench.random.normals(n)
      let plain = try subject.derivative(x, dy)
      // The auxiliary loss counts as much more, or as little.
      let tripled = try subject.derivative(x, dy.map { $0 * 3 }, style: .auxiliary(times: 3))
      let zero = try subject.derivative(
        x,
        [Float](repeating: 0, count: n),
        style: .auxiliary(times: 0)
      )
      try requireClose(
        tripled.dx,
        plain.dx.map { $0 * 3 },
        1e-4,
        "dx of \(subject.label) for three times dy",
        width: subject.dim
      )
      guard zero.dx.allSatisfy({ abs($0) <= 1e-6 }) else {
        throw Breach("dx of \(subject.label) is not zero when dy is zero.")
      }
      for (index, parameter) in subject.parameters.enumerated() {
        try requireClose(
          tripled.gradients[index],
          plain.gradients[index].map { $0 * 3 },
          1e-4,
          "the gradient of \"\(parameter.name)\" of \(subject.label) for three times dy",
          width: parameter.dims.last ?? 1
        )
        guard zero.gradients[index].allSatisfy({ abs($0) <= 1e-6 }) else {
          throw Breach(
            "The gradient of \"\(parameter.name)\" of \(subject.label) is not zero when dy is zero."
          )
        }
      }
    }
    return "Linear."
  },
  Rule("ABI-314", "Two forwards before two backwards give the derivatives of each.") { bench in
    try eachBackward(bench) { subject in
      let a = bench.random.normals(5 * subject.dim)
      let b = bench.random.normals(3 * subject.dim)
      let dyA = bench.random.normals(a.count)
      let dyB = bench.random.normals(b.count)
      let plainA = try subject.derivative(a, dyA)
      let plainB = try subject.derivative(b, dyB)
      let firstA = try subject.forward(a)
      let firstB = try subject.forward(b)
      let secondA = try subject.backward(a, dyA, saved: firstA.saved)
      let secondB = try subject.backward(b, dyB, saved: firstB.saved)
      for (name, plain, later) in [("first", plainA, secondA), ("second", plainB, secondB)] {
        try requireClose(
          later.dx,
          plain.dx,
          1e-5,
          "dx of the \(name) of two interleaved calls of \(subject.label)",
          width: subject.dim
        )
        for (index, parameter) in subject.parameters.enumerated() {
          try requireClose(
            later.gradients[index],
            plain.gradients[index],
            1e-5,
            "the gradient of \"\(parameter.name)\" of the \(name) of two interleaved calls of "
              + subject.label,
            width: parameter.dims.last ?? 1
          )
        }
      }
    }
    return "Each gets its own."
  },
  Rule("ABI-315", "Inputs that are huge, tiny, infinite or NaN neither crash nor hang.") { bench in
    try bench.eachUsual { subject in
      let n = 5 * subject.dim
      let kinds: [(String, Float)] = [
        ("NaN", .nan), ("infinity", .infinity), ("-infinity", -.infinity), ("1e30", 1e30),
        ("3e38", 3e38), ("1e-42", Float(bitPattern: 714)),
      ]
      for (name, value) in kinds {
        for everywhere in [true, false] {
          var x = bench.random.normals(n)
          for at in x.indices where everywhere || at == subject.dim + 1 { x[at] = value }
          bench.doing("a call of \(subject.label) with \(name) in x")
          let first = try subject.forward(x)
          guard subject.plugin.hasBackward, first.status == REFT_OK else { continue }
          _ = try subject.backward(x, bench.random.normals(n), saved: first.saved)
        }
      }
    }
    return "It returns for all of them."
  },
]

extension CallStyle {
  /// A call in which the auxiliary loss counts for so many times as much.
  fileprivate static func auxiliary(times factor: Double) -> CallStyle {
    var style = CallStyle()
    style.auxiliaryGradient *= factor
    return style
  }
}

private func close(_ a: Float, _ b: Float) -> Bool { abs(a - b) <= 1e-5 * (1 + abs(b)) }

/// Runs a body on an instance of each intervention that has a backward.
func eachBackward(_ bench: Bench, _ body: (Subject) throws -> Void) throws {
  var count = 0
  try bench.eachUsual { subject in
    guard subject.plugin.hasBackward else { return }
    count += 1
    try body(subject)
  }
  guard count > 0 else { throw NotApplicable("It has no backward.") }
}
