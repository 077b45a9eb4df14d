// SPDX-License-Identifier: Apache-2.0
// Where a layer reads its rows: on the way back, what edits of the layer's output say of the gradient of
// these rows is added to it, before edits of the rows themselves see it.

import ReFTTensor

struct SourceStep: Step {
  /// Which tensor of the block is read.
  enum Place: Sendable {
    /// The block's input.
    case stream
    /// What a branch reads.
    case normed
    /// The weighted values of all heads.
    case mixed
    /// The gated activation.
    case hidden

    /// The components whose layers read it, of the attention's branch or of the MLP's.
    func readers(inMLP: Bool) -> [Component] {
      switch self {
      case .stream: [.blockOutput]
      case .normed: inMLP ? [.mlpActivation] : [.queryOutput, .keyOutput, .valueOutput]
      case .mixed: [.attentionOutput]
      case .hidden: [.mlpOutput]
      }
    }
  }

  let block: Int
  let place: Place
  /// The components that are edited.
  let readers: [Component]
  let inTail: Bool
  var kind: WorkKind { .edits }

  func forward(_ pass: Pass, after pending: RowWork?) -> RowWork? { pending }

  func backward(_ pass: Pass) throws {
    let base: UnsafeMutablePointer<Float> =
      switch place {
      case .stream: pass.gradient(inTail: inTail)
      case .normed: pass.normed(inTail: inTail)
      case .mixed: pass.mixed(inTail: inTail)
      case .hidden: pass.hidden(inTail: inTail)
      }
    try pass.withRowMap(inTail: inTail) { map in
      for component in readers {
        guard let width = pass.shape.sourceWidth(of: component) else { continue }
        pass.sourceGradients.add(
          at: Site(block: block, component: component),
          to: HiddenRows(base: base, rowStride: width, width: width, rowOfToken: map)
        )
      }
    }
  }
}
