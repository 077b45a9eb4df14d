// SPDX-License-Identifier: Apache-2.0
// The `head` part of a configuration, read.

import ReFTHost
import ReFTTensor

extension HeadOptions {
  /// Reads the `head` part.
  ///
  /// - Throws: `badConfiguration` with the place, for what is unknown or impossible.
  init(_ reader: consuming ConfigurationReader) throws(ReFTError) {
    var reader = reader
    self.init()
    task = try reader.choice("task") ?? task
    if let node = reader.node("labels") {
      labels = try Self.labels(node, task)
    } else if task == .regression {
      labels = .value
    }
    pooling = try reader.choice("pooling")
    hidden = try reader.choice("hidden") ?? hidden
    activation = try reader.choice("activation") ?? activation
    dropout =
      try reader.number("dropout", expected: "a number from 0 and below 1") {
        (0..<1).contains($0)
      } ?? dropout
    learningRate = try reader.learningRate()
    try reader.finish()
  }

  /// A list of names, or their number.
  private static func labels(
    _ node: ConfigurationNode,
    _ task: HeadSpec.Task
  ) throws(ReFTError) -> LabelSet {
    let labels: LabelSet
    if case .sequence(let items) = node.content {
      var names: [String] = []
      for (index, item) in items.enumerated() {
        names.append(try item.string(key: "head.labels.\(index)"))
      }
      labels = LabelSet(names: names)
    } else {
      labels = LabelSet(count: try node.integer(key: "head.labels", in: 1...LabelSet.maximumCount))
    }
    if let fault = HeadSpec.fault(of: labels, task) {
      throw .impossibleValue(node, key: "head.labels", expected: fault)
    }
    return labels
  }
}
