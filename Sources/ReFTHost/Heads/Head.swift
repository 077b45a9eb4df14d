// SPDX-License-Identifier: Apache-2.0
// A head and its parameters, which lie in the adapter's one store.

import ReFTTensor

/// A head with its part of an adapter's parameters.
///
/// It reads the parameters' memory at every pass: one thread at a time writes there, as the store says.
public struct Head: Sendable {
  /// What it is.
  public let spec: HeadSpec
  /// The width of the hidden states that it reads, d.
  public let width: Int
  let parameters: ParameterStore
  /// The index in the store of each of its parameters.
  let dense: (weight: Int, bias: Int)?
  let classifier: (weight: Int, bias: Int)

  private static let denseNames = (weight: "dense.weight", bias: "dense.bias")
  private static let classifierNames = (weight: "classifier.weight", bias: "classifier.bias")
  /// The deviation of the matrices' random start, as the families' own heads begin.
  private static let deviation = 0.02

  /// The parameters of a head, as they are named in files: `head.classifier.weight`.
  static func infos(_ spec: HeadSpec, width: Int) -> [ParameterInfo] {
    var infos: [ParameterInfo] = []
    func add(_ names: (weight: String, bias: String), rows: Int) {
      infos.append(
        ParameterInfo(
          name: names.weight,
          shape: [rows, width],
          initialization: .normal(mean: 0, deviation: deviation)
        )
      )
      infos.append(ParameterInfo(name: names.bias, shape: [rows], allowsDecay: false))
    }
    if spec.hidden == .dense { add(denseNames, rows: width) }
    add(classifierNames, rows: spec.outputCount)
    return infos.map(ParameterOwner.head.owns)
  }

  /// The head whose parameters a store holds; nil where it lacks any.
  init?(_ spec: HeadSpec, width: Int, in store: ParameterStore) {
    func indices(_ names: (weight: String, bias: String)) -> (weight: Int, bias: Int)? {
      let prefix = ParameterOwner.head.prefix + "."
      guard let weight = store.index(of: prefix + names.weight),
        let bias = store.index(of: prefix + names.bias)
      else { return nil }
      return (weight, bias)
    }
    guard let classifier = indices(Self.classifierNames) else { return nil }
    dense = spec.hidden == .dense ? indices(Self.denseNames) : nil
    guard spec.hidden == .none || dense != nil else { return nil }
    self.spec = spec
    self.width = width
    self.classifier = classifier
    parameters = store
  }
}
