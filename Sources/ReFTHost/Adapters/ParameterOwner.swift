// SPDX-License-Identifier: Apache-2.0
// What parameters belong to: everything that is trained lies in one store, whoever owns it.

/// The owner of some of an adapter's parameters.
///
/// Optimiser, checkpoints and files know parameters by their names alone, so that a further kind of
/// owner needs nothing of them but a prefix of its own.
public enum ParameterOwner: Sendable, Hashable {
  /// An intervention at a block, for one head where heads are edited singly, and for one end of the
  /// prompt or one location where these have parameters of their own.
  ///
  /// `all` stands for the block, or for the head, where those of an intervention share parameters.
  case intervention(index: Int, block: Int?, head: Head? = nil, end: String?)
  /// A low-rank update of a matrix of a block, by the matrix's name.
  case lora(block: Int, projection: String)
  /// A head that is trained beside the frozen model, such as a classifier's.
  case head

  /// Which heads share parameters.
  public enum Head: Sendable, Hashable, CustomStringConvertible {
    /// One alone.
    case one(Int)
    /// All that are edited.
    case all

    /// As tensor names have it.
    public var description: String {
      switch self {
      case .one(let index): String(index)
      case .all: "all"
      }
    }
  }

  /// What the names of its parameters begin with in files.
  public var prefix: String {
    switch self {
    case .intervention(let index, let block, let head, let end):
      "interventions.\(index).layers.\(block.map(String.init) ?? "all")"
        + (head.map { ".heads.\($0)" } ?? "") + (end.map { ".\($0)" } ?? "")
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
