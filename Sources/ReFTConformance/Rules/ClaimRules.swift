// SPDX-License-Identifier: Apache-2.0
// Level 3: capability bits are promises that the host exploits; a false one is a breach.

import CReFTPlugin

let claimRules: [Rule] = [
  Rule("ABI-321", "IDENTITY_INIT: right after initialisation, y equals x.") { bench in
    try bench.eachClaiming(REFT_CAP_IDENTITY_INIT, "IDENTITY_INIT") { plugin in
      let (dim, options) = try bench.usualWidth(plugin)
      for seed in 0..<3 {
        let subject = try bench.subject(plugin, dim: dim, options: options, randomised: false)
        try subject.initialise(seed: bench.seed &+ UInt64(seed))
        let x = bench.random.normals(7 * dim)
        let y = try subject.y(x)
        for at in x.indices where !(abs(y[at] - x[at]) <= 1e-5 * (1 + abs(x[at]))) {
          throw Breach(
            "\(subject.label) promises IDENTITY_INIT, but right after initialisation y is \(y[at]) "
              + "where x is \(x[at]) (row \(at / dim), column \(at % dim))."
          )
        }
      }
    }
    return "y equals x."
  },
  Rule("ABI-322", "AFFINE_IN_X: y is an affine function of x.") { bench in
    try bench.eachClaiming(REFT_CAP_AFFINE_IN_X, "AFFINE_IN_X") { plugin in
      let (dim, options) = try bench.usualWidth(plugin)
      let subject = try bench.subject(plugin, dim: dim, options: options)
      let n = 5 * dim
      for size in [0.1, 1, 30] {
        let a = bench.random.normals(n, scale: size)
        let b = bench.random.normals(n, scale: size)
        let (ya, yb) = (try subject.y(a), try subject.y(b))
        for weight: Float in [0.3, -1.5] {
          let mixed = try subject.y(zip(a, b).map { weight * $0 + (1 - weight) * $1 })
          try requireClose(
            mixed,
            zip(ya, yb).map { weight * $0 + (1 - weight) * $1 },
            1e-4,
            "\(subject.label) promises AFFINE_IN_X, but forward of \(weight) a + "
              + "\(1 - weight) b for rows of size \(brief(size))",
            width: dim
          )
        }
      }
    }
    return "Affine."
  },
  Rule("ABI-323", "ROWWISE: changing one row leaves all other rows as they are, bit for bit.") {
    bench in
    try bench.eachClaiming(REFT_CAP_ROWWISE, "ROWWISE") { plugin in
      let (dim, options) = try bench.usualWidth(plugin)
      let subject = try bench.subject(plugin, dim: dim, options: options)
      let rows = 9
      let x = bench.random.normals(rows * dim)
      let dy = bench.random.normals(rows * dim)
      let y = try subject.y(x)
      let dx = plugin.hasBackward ? try subject.derivative(x, dy).dx : []
      for row in [0, 1, 4, rows - 1] {
        var moved = x
        // What the layer read is moved with the row that it made.
        var style = CallStyle()
        let width = subject.sourceDim
        var source = CallFrame.source(rows: rows, dim: width)
        for column in 0..<dim { moved[row * dim + column] = Float(bench.random.normal() * 50) }
        for column in 0..<width { source[row * width + column] *= -3 }
        var other = CallFrame.counterpart(rows: rows, dim: dim)
        for column in 0..<dim { other[row * dim + column] *= -5 }
        style.counterpart = other
        style.source = source
        let after = try subject.y(moved, style: style)
        for at in y.indices where at / dim != row && after[at].bitPattern != y[at].bitPattern {
          throw Breach(
            "\(subject.label) promises ROWWISE, but changing row \(row) of x changed row "
              + "\(at / dim) of y from \(y[at]) to \(after[at])."
          )
        }
        guard plugin.hasBackward else { continue }
        var slope = dy
        for column in 0..<dim { slope[row * dim + column] *= -7 }
        let back = try subject.derivative(moved, slope, style: style).dx
        for at in dx.indices where at / dim != row && back[at].bitPattern != dx[at].bitPattern {
          throw Breach(
            "\(subject.label) promises ROWWISE, but changing row \(row) changed row \(at / dim) of "
              + "dx from \(dx[at]) to \(back[at])."
          )
        }
      }
    }
    return "Other rows are silent."
  },
  Rule(
    "ABI-324",
    "ROWWISE: permuting rows permutes the results, and splitting them changes nothing."
  ) {
    bench in
    try bench.eachClaiming(REFT_CAP_ROWWISE, "ROWWISE") { plugin in
      let (dim, options) = try bench.usualWidth(plugin)
      let subject = try bench.subject(plugin, dim: dim, options: options)
      let rows = 11
      let x = bench.random.normals(rows * dim)
      var style = CallStyle()
      style.withRows = false
      style.training = false
      let y = try subject.y(x, style: style)
      let width = subject.sourceDim
      let source = CallFrame.source(rows: rows, dim: width)
      let other = CallFrame.counterpart(rows: rows, dim: dim)
      let order = (0..<rows).shuffled(using: &bench.random)
      style.counterpart = order.flatMap { other[$0 * dim..<($0 + 1) * dim] }
      style.source = order.flatMap { source[$0 * width..<($0 + 1) * width] }
      let permuted = try subject.y(order.flatMap { x[$0 * dim..<($0 + 1) * dim] }, style: style)
      try requireClose(
        permuted,
        order.flatMap { y[$0 * dim..<($0 + 1) * dim] },
        1e-5,
        "\(subject.label) promises ROWWISE, but forward of permuted rows",
        width: dim
      )
      for piece in [1, 4] {
        var joined: [Float] = []
        for start in stride(from: 0, to: rows, by: piece) {
          let part = start..<min(rows, start + piece)
          style.source = Array(source[part.lowerBound * width..<part.upperBound * width])
          let own = Array(x[part.lowerBound * dim..<part.upperBound * dim])
          style.counterpart = Array(other[part.lowerBound * dim..<part.upperBound * dim])
          joined += try subject.y(own, style: style)
        }
        try requireClose(
          joined,
          y,
          1e-5,
          "\(subject.label) promises ROWWISE, but forward in pieces of \(piece) rows",
          width: dim
        )
      }
    }
    return "Permuting and splitting are harmless."
  },
]
