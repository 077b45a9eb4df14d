// SPDX-License-Identifier: Apache-2.0
// The head for classes that a model has of its own, described as those that are trained are.

import ReFTModel
import ReFTTensor

extension HeadSpec {
  /// The head of a model; nil for a model without one.
  ///
  /// Names of classes are those of config.json (`id2label`), where it has one for each. One output is a
  /// regression, and several are classes of which one holds, unless `problem_type` says otherwise.
  init?(_ plan: ModelPlan, _ metadata: [String: GGUFValue]) {
    guard case .classifier(let head) = plan.head else { return nil }
    let count = head.output.rows
    var task = count == 1 ? Task.regression : .classification
    if case .string("multi_label_classification") = metadata["problem_type"] { task = .multiLabel }
    let names: [String] = (0..<count).compactMap {
      if case .string(let name) = metadata["id2label.\($0)"] { name } else { nil }
    }
    var labels = task == .regression ? LabelSet.value : LabelSet(count: count)
    if task != .regression, Set(names).count == count { labels = LabelSet(names: names) }
    self.init(
      task: task,
      labels: labels,
      pooling: .first,
      hidden: .dense,
      activation: head.activation == .tanh ? .tanh : .relu
    )
  }
}
