// SPDX-License-Identifier: Apache-2.0
// The learning rate of each step: as transformers' get_constant_, get_linear_ and
// get_cosine_schedule_with_warmup, whose first step has rate 0 when there is a warm-up.

import Foundation

/// The learning rate as a function of the step.
package struct LearningRate: Equatable {
  let peak: Double
  let schedule: TrainOptions.Schedule
  let warmUpSteps: Int
  let totalSteps: Int

  /// The schedule of a run.
  package init(_ options: TrainOptions, totalSteps: Int) {
    peak = options.learningRate
    schedule = options.schedule
    self.totalSteps = totalSteps
    warmUpSteps =
      switch options.warmUp {
      case .steps(let steps): steps
      case .fraction(let fraction): Int((Double(totalSteps) * fraction).rounded(.up))
      }
  }

  /// The rate of a step, from 0.
  package func rate(step: Int) -> Double { rate(step: step, peak: peak) }

  /// The rate of a step, from 0, of parameters that have a peak of their own.
  package func rate(step: Int, peak: Double) -> Double { peak * factor(step: step) }

  private func factor(step: Int) -> Double {
    if step < warmUpSteps { return Double(step) / Double(max(1, warmUpSteps)) }
    let span = Double(max(1, totalSteps - warmUpSteps))
    switch schedule {
    case .constant: return 1
    case .linear: return max(0, Double(totalSteps - step) / span)
    case .cosine: return max(0, 0.5 * (1 + cos(.pi * Double(step - warmUpSteps) / span)))
    }
  }
}
