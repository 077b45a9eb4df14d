// SPDX-License-Identifier: Apache-2.0
// What parameters belong to: everything that is trained lies in one store, whoever owns it.

/// The owner of some of an adapter's parameters.
///
/// Optimiser, checkpoints and files know parameters by their names alone, so that a further kind of
/// owner needs nothing of them but a prefix of its own.
public enum ParameterOwner: Sendable, Hashable {
  /// An intervention at a block, for one end of the prompt where both have parameters of their own.
  case intervention(index: Int, block: Int, end: String?)
  /// A low-rank update of a matrix of a block, by the matrix's name.
  case lora(block: Int, projection: String)
  /// A head that is trained beside the frozen model, such as a classifier's.
  case head

  /// What the names of its parameters begin with in files.
  public var prefix: String {
    switch self {
    case .intervention(let index, let block, let end):
      "interventions.\(index).layers.\(block)" + (end.map { ".\($0)" } ?? "")
    case .lora(let block, let projection): "lora.layers.\(block).\(projection)"
    case .head: "head"
    }
  }

  /// The parameter of that name as its owner's.
  public func owns(_ info: ParameterInfo) -> ParameterInfo {
    var owned = info
    owned.owner = self
    owned.name = prefix + "." + info.name
    return owned
  }
}
