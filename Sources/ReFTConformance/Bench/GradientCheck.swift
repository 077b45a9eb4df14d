// SPDX-License-Identifier: Apache-2.0
// Compares a plugin's derivative with central differences of its forward. Losses are summed in
// double; the step is the one that float32 can represent; the step size is swept, so that neither
// rounding nor curvature nor a kink is taken for a fault.

import CReFTPlugin
import Glibc

/// The derivative of one random loss of one instance, and differences to hold against it.
struct GradientCheck {
  /// What is moved.
  enum Target {
    case x
    case source
    case parameter(Int)
  }

  /// The largest error found and where.
  struct Worst {
    var error = 0.0
    var place = ""
    var analytic = 0.0
    var numeric = 0.0
  }

  /// Correct plugins stay below 1e-4; a term that is wrong by one per cent gives 2e-2.
  static let threshold = 2e-3
  /// For single coordinates, whose differences carry more rounding noise.
  static let coordinateThreshold = 5e-3

  private static let steps = [0.5, 0.25, 0.1, 0.05, 0.02, 0.01, 0.004, 0.002]

  let subject: Subject
  let x: [Float]
  let source: [Float]
  let dy: [Float]
  let analytic: BackwardResult
  private let slopeSize: Double

  init(_ subject: Subject, rows: Int) throws {
    self.subject = subject
    x = subject.bench.random.normals(rows * subject.dim)
    dy = subject.bench.random.normals(rows * subject.dim)
    source = CallFrame.source(rows: rows, dim: subject.sourceDim)
    analytic = try subject.derivative(x, dy)
    slopeSize = dy.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
  }

  /// Whether the plugin says how the loss depends on what its layer reads.
  var givesSourceGradient: Bool { !analytic.dsource.isEmpty }

  /// The targets of this instance: x and each trainable parameter.
  var targets: [Target] {
    [.x]
      + subject.parameters.indices.filter { subject.parameters[$0].isTrainable }.map(
        Target.parameter
      )
  }

  func name(_ target: Target) -> String {
    switch target {
    case .x: "x"
    case .source: "source"
    case .parameter(let index): "\"\(subject.parameters[index].name)\""
    }
  }

  func width(_ target: Target) -> Int {
    switch target {
    case .x: subject.dim
    case .source: subject.sourceDim
    case .parameter(let index): subject.parameters[index].dims.last ?? 1
    }
  }

  func gradient(_ target: Target) -> [Float] {
    switch target {
    case .x: analytic.dx
    case .source: analytic.dsource
    case .parameter(let index): analytic.gradients[index]
    }
  }

  /// The largest error over random directions in the space of the target.
  func directions(_ target: Target, count: Int = 8) throws -> Worst {
    var worst = Worst()
    let n = gradient(target).count
    for direction in 0..<count {
      let v = (0..<n).map { _ in subject.bench.random.normal() }
      let found = try compare(target, along: v, scale: norm(gradient(target)))
      if found.error > worst.error || worst.place.isEmpty {
        worst = found
        worst.place = "direction \(direction + 1) of \(count)"
      }
    }
    return worst
  }

  /// The largest error over single numbers: corners, edges, the largest and some random ones.
  func coordinates(_ target: Target) throws -> Worst {
    let g = gradient(target)
    let columns = width(target)
    guard !g.isEmpty else { return Worst() }
    var list = [0, columns - 1, g.count - columns, g.count - 1, g.count / 2]
    list += (0..<4).map { _ in subject.bench.random.below(g.count) }
    if let largest = g.indices.max(by: { abs(g[$0]) < abs(g[$1]) }) { list.append(largest) }
    let typical = norm(g) / Double(g.count).squareRoot()
    var worst = Worst()
    for at in Set(list).sorted() where g.indices.contains(at) {
      var v = [Double](repeating: 0, count: g.count)
      v[at] = 1
      let found = try compare(
        target,
        along: v,
        scale: max(typical, abs(Double(g[at]))),
        share: Double(g.count)
      )
      if found.error > worst.error || worst.place.isEmpty {
        worst = found
        worst.place = "row \(at / columns), column \(at % columns)"
      }
    }
    return worst
  }

  private func norm(_ list: [Float]) -> Double {
    list.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
  }

  /// dy · y, plus the auxiliary loss times its gradient.
  private func loss(_ target: Target, _ moved: [Float]) throws -> Double {
    let result: ForwardResult
    switch target {
    case .x: result = try subject.result(moved)
    case .source:
      var style = CallStyle()
      style.source = moved
      result = try subject.result(x, style: style)
    case .parameter(let index):
      let keep = subject.values
      subject.values[index] = moved
      defer { subject.values = keep }
      result = try subject.result(x)
    }
    var sum = CallStyle().auxiliaryGradient * result.auxiliary
    for at in result.y.indices { sum += Double(result.y[at]) * Double(dy[at]) }
    return sum
  }

  private func base(_ target: Target) -> [Float] {
    switch target {
    case .x: x
    case .source: source
    case .parameter(let index): subject.values[index]
    }
  }

  // The best agreement over all steps and over Richardson pairs of them.
  private func compare(
    _ target: Target,
    along v: [Double],
    scale: Double,
    share: Double = 1
  ) throws -> Worst {
    let start = base(target)
    let g = gradient(target)
    // Below this a derivative drowns in the rounding of y, which carries x itself.
    let floor = 1e-3 * slopeSize / share.squareRoot()
    var best = Worst(error: .infinity)
    var last: (numeric: Double, ratio: Double)?
    for (index, h) in GradientCheck.steps.enumerated() {
      var up = start
      var down = start
      var analytic = 0.0
      for at in start.indices where v[at] != 0 {
        up[at] = Float(Double(start[at]) + h * v[at])
        down[at] = Float(Double(start[at]) - h * v[at])
        analytic += Double(g[at]) * (Double(up[at]) - Double(down[at])) / (2 * h)
      }
      let numeric = (try loss(target, up) - (try loss(target, down))) / (2 * h)
      func judge(_ estimate: Double) {
        let size = max(scale, abs(estimate), floor)
        let off = abs(estimate - analytic) / size
        let error = off.isNaN ? Double.infinity : off
        if error < best.error || index == 0 && best.error == .infinity {
          best = Worst(error: error, analytic: analytic, numeric: estimate)
        }
      }
      judge(numeric)
      if let last {
        let square = last.ratio / h * (last.ratio / h)
        judge((square * numeric - last.numeric) / (square - 1))
      }
      last = (numeric, h)
      if best.error < GradientCheck.threshold / 8 { break }
    }
    return best
  }
}
