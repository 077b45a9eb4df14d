// SPDX-License-Identifier: Apache-2.0
// Learning rates that interventions, LoRAs and a head have for themselves.

package import ReFTHost

/// A learning rate for each owner of parameters that has one of its own.
package struct OwnRates: Equatable {
  private var interventions: [Int: Double] = [:]
  private var lora: Double?
  private var head: Double?

  /// None: all parameters have the rate of the run.
  package init() {}

  /// The peaks that a configuration states.
  package init(_ configuration: RunConfiguration) {
    for (index, options) in configuration.interventions.enumerated() {
      interventions[index] = options.learningRate
    }
    lora = configuration.lora?.learningRate
    head = configuration.head?.learningRate
  }

  /// Whether there is none.
  package var isEmpty: Bool { interventions.isEmpty && lora == nil && head == nil }

  /// The rate of the parameters of an owner; nil where it is that of the run.
  package subscript(owner: ParameterOwner?) -> Double? {
    switch owner {
    case .intervention(let index, _, _, _): interventions[index]
    case .lora: lora
    case .head: head
    case nil: nil
    }
  }

  /// The rates of a step, from 0, where these are the peaks.
  package func rates(_ schedule: LearningRate, step: Int) -> OwnRates {
    var result = self
    result.interventions = interventions.mapValues { schedule.rate(step: step, peak: $0) }
    result.lora = lora.map { schedule.rate(step: step, peak: $0) }
    result.head = head.map { schedule.rate(step: step, peak: $0) }
    return result
  }

  /// The rates by the key of the configuration, such as `interventions.1`.
  var named: [String: Double] {
    var result: [String: Double] = [:]
    for (index, rate) in interventions { result["interventions.\(index)"] = rate }
    result["lora"] = lora
    result["head"] = head
    return result
  }
}
