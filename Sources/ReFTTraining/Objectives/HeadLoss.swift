// SPDX-License-Identifier: Apache-2.0
// The losses of heads, each with its derivative by the outputs o:
//
//   classification   log Σ exp(o) − o[t]                     softmax(o) − e[t]
//   multi-label      mean of log(1 + exp(o)) − t o           (sigmoid(o) − t) / labels
//   regression       (o − t)²                                2 (o − t)

import Foundation
import ReFTHost

/// The loss of one text.
package enum HeadLoss {
  /// The loss of outputs, and its derivative times `scale` into `slopes`.
  ///
  /// - Parameters:
  ///   - outputs: what the head answered, one number for each label.
  ///   - target: what it must answer.
  ///   - scale: a factor of the derivative.
  ///   - slopes: takes the derivative; nil where nobody wants it.
  /// - Returns: the loss.
  /// - Precondition: the target is of the head's task, and labels are among the outputs.
  package static func loss(
    _ outputs: UnsafeMutableBufferPointer<Float>,
    _ target: Target,
    scale: Double = 1,
    slopes: UnsafeMutablePointer<Float>? = nil
  ) -> Double {
    switch target {
    case .label(let label): crossEntropy(outputs, label, scale, slopes)
    case .labels(let holds): binary(outputs, holds, scale, slopes)
    case .value(let value): squared(outputs, value, scale, slopes)
    }
  }

  private static func crossEntropy(
    _ outputs: UnsafeMutableBufferPointer<Float>,
    _ label: Int,
    _ scale: Double,
    _ slopes: UnsafeMutablePointer<Float>?
  ) -> Double {
    let top = Double(outputs.max() ?? 0)
    let sum = outputs.reduce(0.0) { $0 + exp(Double($1) - top) }
    let logSum = top + log(sum)
    if let slopes {
      for place in outputs.indices {
        let share = exp(Double(outputs[place]) - logSum)
        slopes[place] = Float(scale * (share - (place == label ? 1 : 0)))
      }
    }
    return logSum - Double(outputs[label])
  }

  private static func binary(
    _ outputs: UnsafeMutableBufferPointer<Float>,
    _ holds: [Bool],
    _ scale: Double,
    _ slopes: UnsafeMutablePointer<Float>?
  ) -> Double {
    var sum = 0.0
    let count = Double(outputs.count)
    for (place, holds) in holds.enumerated() {
      let output = Double(outputs[place])
      // log(1 + exp(o)) without overflow on either side.
      sum += max(output, 0) + log1p(exp(-abs(output))) - (holds ? output : 0)
      let probability = 1 / (1 + exp(-output))
      slopes?[place] = Float(scale * (probability - (holds ? 1 : 0)) / count)
    }
    return sum / count
  }

  private static func squared(
    _ outputs: UnsafeMutableBufferPointer<Float>,
    _ value: Double,
    _ scale: Double,
    _ slopes: UnsafeMutablePointer<Float>?
  ) -> Double {
    let difference = Double(outputs[0]) - value
    slopes?[0] = Float(scale * 2 * difference)
    return difference * difference
  }
}
