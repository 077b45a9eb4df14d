// SPDX-License-Identifier: Apache-2.0
// Rates as transformers gives them, AdamW as torch gives it, and constraints that hold.

import Foundation
import ReFTHost
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

struct OptimiserTests {
  private func rates(
    _ schedule: TrainOptions.Schedule,
    _ warmUp: TrainOptions.WarmUp,
    steps: Int
  ) -> [Double] {
    var options = TrainOptions()
    options.learningRate = 1
    options.schedule = schedule
    options.warmUp = warmUp
    let rate = LearningRate(options, totalSteps: steps)
    return (0..<steps).map { rate.rate(step: $0) }
  }

  @Test("gives the rates of transformers' schedules")
  func schedules() {
    #expect(rates(.constant, .steps(2), steps: 4) == [0, 0.5, 1, 1])
    #expect(rates(.linear, .steps(0), steps: 4) == [1, 0.75, 0.5, 0.25])
    #expect(rates(.linear, .steps(2), steps: 6) == [0, 0.5, 1, 0.75, 0.5, 0.25])
    #expect(rates(.linear, .fraction(0.25), steps: 5) == rates(.linear, .steps(2), steps: 5))
    let cosine = rates(.cosine, .steps(1), steps: 5)
    let expected = [0, 1, 0.8535533905932737, 0.5, 0.14644660940672627]
    for (a, b) in zip(cosine, expected) { #expect(abs(a - b) < 1e-12) }
  }

  /// Two steps of torch.optim.AdamW on p = [1, -2], wd 0.1, lr 0.1, gradients [0.5, -1], [-0.25, 3].
  @Test("steps as torch's AdamW does, with decay on matrices alone")
  func adamW() {
    let store = ParameterStore([
      ParameterInfo(name: "matrix", shape: [1, 2]), ParameterInfo(name: "vector", shape: [2]),
      ParameterInfo(name: "exempt", shape: [1, 2], allowsDecay: false),
      ParameterInfo(name: "fixed", shape: [1, 2], isTrainable: false),
    ])
    for index in 0..<4 {
      store.tensor(index)[0] = 1
      store.tensor(index)[1] = -2
    }
    var options = TrainOptions()
    options.weightDecay = 0.1
    options.clipNorm = 0
    let optimiser = AdamW(store, options)
    for gradient: [Float] in [[0.5, -1], [-0.25, 3]] {
      let gradients = store.makeGradients()
      for index in 0..<4 {
        let slice = store.slice(of: gradients, index)
        (slice[0], slice[1]) = (gradient[0], gradient[1])
      }
      let norm = optimiser.prepare(gradients)
      let square = Double(gradient[0] * gradient[0] + gradient[1] * gradient[1])
      #expect(abs(norm - (3 * square).squareRoot()) < 1e-6)
      optimiser.clip(gradients, norm: norm)
      optimiser.step(gradients, rate: 0.1)
    }
    expectClose(store.tensor(0), [0.8544663, -1.9106190], tolerance: 1e-6)
    expectClose(store.tensor(1), [0.8733663, -1.9494190], tolerance: 1e-6)
    expectClose(store.tensor(2), [0.8733663, -1.9494190], tolerance: 1e-6)
    expectIdentical(store.tensor(3), [1, -2])
  }

  @Test("clips the global norm as torch does, and leaves small gradients alone")
  func clip() {
    let store = ParameterStore([ParameterInfo(name: "a", shape: [2])])
    let optimiser = AdamW(store, TrainOptions())
    let gradients = store.makeGradients()
    (gradients[0], gradients[1]) = (3, 4)
    optimiser.clip(gradients, norm: optimiser.prepare(gradients))
    expectClose(store.slice(of: gradients, 0), [0.6, 0.8], tolerance: 1e-6)
    (gradients[0], gradients[1]) = (0.3, 0.4)
    optimiser.clip(gradients, norm: optimiser.prepare(gradients))
    expectIdentical(store.slice(of: gradients, 0), [0.3, 0.4])
  }

  @Test("scales the rate by the layout's factor")
  func rateScale() {
    let store = ParameterStore([
      ParameterInfo(name: "a", shape: [1]),
      ParameterInfo(name: "b", shape: [1], learningRateScale: 0.5),
    ])
    let optimiser = AdamW(store, TrainOptions())
    let gradients = store.makeGradients()
    for index in 0..<2 { store.slice(of: gradients, index)[0] = 1 }
    optimiser.step(gradients, rate: 0.1)
    expectClose([store.tensor(0)[0], store.tensor(1)[0]], [-0.1, -0.05], tolerance: 1e-6)
  }

  struct Shape: CustomTestStringConvertible, Sendable {
    let rows: Int
    let columns: Int
    let constraint: ParameterConstraint
    var testDescription: String { "\(constraint) \(rows) x \(columns)" }
  }

  static let shapes = [
    Shape(rows: 4, columns: 64, constraint: .orthonormalRows),
    Shape(rows: 1, columns: 7, constraint: .orthonormalRows),
    Shape(rows: 8, columns: 8, constraint: .orthonormalRows),
    Shape(rows: 12, columns: 5, constraint: .orthonormalRows),
    Shape(rows: 33, columns: 4, constraint: .orthonormalColumns),
    Shape(rows: 5, columns: 16, constraint: .unitRows),
  ]

  /// Pulls the tensor towards a target of the same set, with noise, at a large rate.
  @Test("keeps constraints within 1e-5 over 1,000 steps", arguments: shapes)
  func keeps(shape: Shape) {
    let info = ParameterInfo(
      name: "r",
      shape: [shape.rows, shape.columns],
      constraint: shape.constraint
    )
    let store = ParameterStore([info])
    let values = store.tensor(0)
    CounterRandom(key: 1).fillNormal(values)
    let manifold = ParameterManifold(info)
    manifold.retract(values)
    var options = TrainOptions()
    options.clipNorm = 0
    options.weightDecay = 0.1
    let optimiser = AdamW(store, options)
    let gradients = store.makeGradients()
    for step in 0..<1000 {
      CounterRandom(key: 2, step: UInt64(step)).fillNormal(store.slice(of: gradients, 0))
      _ = optimiser.prepare(gradients)
      optimiser.step(gradients, rate: 0.05)
    }
    #expect(defect(values, shape, manifold) <= 1e-5)
  }

  private func defect(
    _ values: UnsafeMutableBufferPointer<Float>,
    _ shape: Shape,
    _ manifold: ParameterManifold
  ) -> Double {
    guard let base = values.baseAddress else { return .infinity }
    let size = (shape.rows, shape.columns)
    switch manifold {
    case .orthonormalRows: return StiefelManifold.defect(.rows(base, size))
    case .orthonormalColumns: return StiefelManifold.defect(.columns(base, size))
    default:
      return (0..<shape.rows).map {
        StiefelManifold.defect(.rows(base + $0 * shape.columns, (1, shape.columns)))
      }.max() ?? .infinity
    }
  }

  @Test("finds the subspace of least loss on the manifold")
  func convergence() {
    // min over R of −tr(R A Rᵀ) is reached by the leading eigenvectors: here the first three axes.
    let (rows, columns) = (3, 12)
    let store = ParameterStore([
      ParameterInfo(name: "r", shape: [rows, columns], constraint: .orthonormalRows)
    ])
    let values = store.tensor(0)
    CounterRandom(key: 5).fillNormal(values)
    ParameterManifold(store.infos[0]).retract(values)
    let optimiser = AdamW(store, TrainOptions())
    let gradients = store.makeGradients()
    let weights = (0..<columns).map {
      Float($0 < rows ? 3 - 0.5 * Float($0) : 0.1 * Float($0) / 12)
    }
    for step in 0..<400 {
      let gradient = store.slice(of: gradients, 0)
      for index in gradient.indices {
        gradient[index] = -2 * values[index] * weights[index % columns]
      }
      optimiser.clip(gradients, norm: optimiser.prepare(gradients))
      optimiser.step(gradients, rate: 0.05 * (1 - Double(step) / 400))
    }
    var captured: Float = 0
    for row in 0..<rows {
      for column in 0..<rows {
        captured += values[row * columns + column] * values[row * columns + column]
      }
    }
    #expect(captured > 2.999)
  }

  @Test("leaves orthonormal rows without a gradient where they are, the others beside them")
  func fixedRows() {
    let (rows, columns) = (5, 16)
    let store = ParameterStore([
      ParameterInfo(name: "r", shape: [rows, columns], constraint: .orthonormalRows)
    ])
    let values = store.tensor(0)
    CounterRandom(key: 5).fillNormal(values)
    ParameterManifold(store.infos[0]).retract(values)
    let start = Array(values)
    let optimiser = AdamW(store, TrainOptions())
    for step in 0..<20 {
      let gradients = store.makeGradients()
      let moving = UnsafeMutableBufferPointer(
        rebasing: store.slice(of: gradients, 0)[columns..<3 * columns]
      )
      CounterRandom(key: 6, step: UInt64(step)).fillNormal(moving)
      _ = optimiser.prepare(gradients)
      optimiser.step(gradients, rate: 0.05)
    }
    expectIdentical(values[..<columns], start[..<columns])
    expectIdentical(values[(3 * columns)...], start[(3 * columns)...])
    #expect(values[columns] != start[columns])
    if let base = values.baseAddress {
      #expect(StiefelManifold.defect(.rows(base, (rows, columns))) < 1e-6)
    }
  }

  @Test("completes rows that became dependent, and clamps boxes")
  func degenerate() {
    let values = FloatBuffer([1, 0, 0, 2, 0, 0])
    StiefelManifold.retract(.rows(values.base, (2, 3)))
    #expect(StiefelManifold.defect(.rows(values.base, (2, 3))) < 1e-6)
    let box = FloatBuffer([-5, 0.5, 5])
    ParameterManifold.box(-1, 2).retract(box.values)
    expectIdentical(box.values, [-1, 0.5, 2])
  }
}
