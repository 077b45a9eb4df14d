// SPDX-License-Identifier: Apache-2.0
// Losses and measures against values that other programs gave.

import Foundation
import ReFTHost
import ReFTTraining
import Testing
import _ReFTTestSupport

@Suite("Losses and measures of heads")
struct HeadLossTests {
  private func loss(_ outputs: [Float], _ target: Target, scale: Double = 1) -> (Double, [Float]) {
    var outputs = outputs
    var slopes = [Float](repeating: 9, count: outputs.count)
    let loss = outputs.withUnsafeMutableBufferPointer { outputs in
      slopes.withUnsafeMutableBufferPointer {
        HeadLoss.loss(outputs, target, scale: scale, slopes: $0.baseAddress)
      }
    }
    return (loss, slopes)
  }

  @Test("are PyTorch's cross entropy, binary cross entropy and squared error, with their slopes")
  func references() {
    let (entropy, entropySlopes) = loss([1.5, -0.5, 0.25], .label(2))
    #expect(abs(entropy - 1.60195196) < 1e-6)
    expectClose(entropySlopes, [0.7033, 0.0952, -0.7985], tolerance: 1e-4)
    let (binary, binarySlopes) = loss([1.5, -0.5, 0.25], .labels([true, false, true]))
    #expect(abs(binary - 0.41714323) < 1e-6)
    expectClose(binarySlopes, [-0.0608, 0.1258, -0.1459], tolerance: 1e-4)
    let (squared, squaredSlopes) = loss([1.5], .value(4), scale: 0.5)
    #expect(squared == 6.25 && squaredSlopes == [-2.5])
  }

  @Test("stay finite for outputs of any size", arguments: [Float(300), -300, 3e38])
  func large(output: Float) {
    for target in [Target.label(0), .label(1), .labels([true, false])] {
      let (loss, slopes) = loss([output, -output], target)
      #expect(loss.isFinite && loss >= 0 && slopes.allSatisfy(\.isFinite))
    }
  }

  private func tally(
    _ task: HeadSpec.Task,
    labels: Int,
    _ pairs: [(Prediction, Target)]
  ) -> MetricTally {
    let spec = HeadSpec(task: task, labels: LabelSet(count: labels), pooling: .first)
    var tally = MetricTally(spec)
    for (answer, target) in pairs { tally.add(answer, target) }
    return tally
  }

  @Test("count two labels: accuracy, F1 of label 1, Matthews")
  func twoLabels() throws {
    let pairs = zip([1, 0, 1, 1], [1, 1, 1, 0]).map { (Prediction.label($0), Target.label($1)) }
    let tally = tally(.classification, labels: 2, pairs)
    #expect(tally.metrics.map(\.metric) == [.accuracy, .f1, .matthews])
    #expect(tally.value(of: .accuracy) == 0.5)
    #expect(abs(try #require(tally.value(of: .f1)) - 2.0 / 3) < 1e-12)
    #expect(abs(try #require(tally.value(of: .matthews)) + 1.0 / 3) < 1e-12)
    #expect(tally.value(of: .pearson) == nil)
  }

  @Test("count several labels: mean F1, and Matthews as the correlation of indicators")
  func severalLabels() throws {
    let pairs = zip([0, 1, 1, 1, 2, 0, 2, 0], [0, 0, 1, 1, 2, 2, 2, 0]).map {
      (Prediction.label($0), Target.label($1))
    }
    let tally = tally(.classification, labels: 4, pairs)
    #expect(tally.value(of: .accuracy) == 0.75)
    #expect(abs(try #require(tally.value(of: .f1)) - 0.755555556) < 1e-8)
    #expect(abs(try #require(tally.value(of: .matthews)) - 0.642857143) < 1e-8)
  }

  @Test("are 0 for Matthews, and no number for correlations, where all answers are the same")
  func constant() {
    let pairs = [0, 1, 1].map { (Prediction.label(1), Target.label($0)) }
    #expect(tally(.classification, labels: 2, pairs).value(of: .matthews) == 0)
    let values = [0.1, 0.2, 0.7].map { (Prediction.value(0.1), Target.value($0)) }
    #expect(tally(.regression, labels: 1, values).metrics.isEmpty)
    #expect(tally(.classification, labels: 2, []).metrics.isEmpty)
  }

  @Test("correlate numbers and their ranks, ties sharing a rank")
  func correlations() throws {
    let pairs = zip([2.5, 0.1, 3.3, 3.3, 4.9, 1.0], [2.0, 0.0, 3.0, 5.0, 4.0, 2.0]).map {
      (Prediction.value($0), Target.value($1))
    }
    let tally = tally(.regression, labels: 1, pairs)
    #expect(abs(try #require(tally.value(of: .pearson)) - 0.8382616896) < 1e-9)
    #expect(abs(try #require(tally.value(of: .spearman)) - 0.8823529412) < 1e-9)
  }

  @Test("count several labels at once: all of them for accuracy, hits together for F1")
  func multiLabel() throws {
    let pairs: [(Prediction, Target)] = [
      (.labels([true, false, true]), .labels([true, false, true])),
      (.labels([true, true, false]), .labels([false, true, true])),
    ]
    let tally = tally(.multiLabel, labels: 3, pairs)
    #expect(tally.value(of: .accuracy) == 0.5)
    #expect(abs(try #require(tally.value(of: .f1)) - 6.0 / 8) < 1e-12)
  }

  @Test("read outputs as answers")
  func answers() {
    #expect(Prediction(outputs: [0.1, 0.7, 0.7], task: .classification) == .label(1))
    #expect(
      Prediction(outputs: [0.1, -0.7, 0], task: .multiLabel) == .labels([true, false, false])
    )
    #expect(Prediction(outputs: [2.5], task: .regression) == .value(2.5))
  }
}
