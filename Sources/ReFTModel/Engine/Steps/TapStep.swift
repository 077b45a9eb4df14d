// SPDX-License-Identifier: Apache-2.0
// A place where hidden states are shown to an editor, and their gradients on the way back. Sites fire
// here and nowhere else.

import ReFTTensor

struct TapStep: Step {
  let block: Int
  let component: Component
  let inTail: Bool
  /// Where a branch's output lies, for the taps that look at one.
  let places: BranchPlaces?
  /// The work on rows that a tap waits for counts as that of the step before.
  let kind: WorkKind

  private var site: Site { Site(block: block, component: component) }

  func isGoal(_ pass: Pass) -> Bool { true }

  func forward(_ pass: Pass, after pending: RowWork?) throws -> RowWork? {
    pass.settle(pending, inTail: inTail, kind)
    guard let editor = pass.editor else { return nil }
    try pass.withRowMap(inTail: inTail) { map in
      try pass.withRowMap(inTail: sourceIsInTail) { sourceMap in
        try pass.exchange.edit(
          values(pass, map),
          source: source(pass, sourceMap),
          at: site,
          by: editor
        )
      }
    }
    pass.clock?.lap(.edits)
    return nil
  }

  func backward(_ pass: Pass) throws {
    guard let editor = pass.editor else { return }
    // The gradient of what the layer read matters to edits below alone.
    let width = pass.goalsLeft > 1 ? pass.shape.sourceWidth(of: component) : nil
    try pass.withRowMap(inTail: inTail) { map in
      try pass.exchange.differentiate(
        gradients(pass, map),
        source: width.map { ($0, pass.sourceGradients) },
        at: site,
        by: editor
      )
    }
    pass.goalsLeft -= 1
    pass.clock?.lap(.edits)
  }

  /// The hidden rows.
  private func values(_ pass: Pass, _ map: UnsafePointer<Int32>?) -> HiddenRows {
    let base: UnsafeMutablePointer<Float> =
      switch component {
      case .blockInput: pass.stream(block)
      case .attentionInput, .mlpInput: pass.normed(inTail: inTail)
      case .queryOutput, .keyOutput, .valueOutput: pass.queryKeyValue(block) + offset(pass)
      case .attentionValueOutput: pass.mixed(inTail: inTail)
      case .attentionOutput, .mlpOutput: places?.product(pass) ?? pass.normed(inTail: inTail)
      case .mlpActivation:
        pass.hasGate
          ? pass.activation(block, inTail: inTail) : pass.hidden(inTail: inTail)
      case .blockOutput: pass.stream(block + 1, inTail: inTail)
      }
    return rows(base, pass, map)
  }

  /// The gradients of the same rows.
  private func gradients(_ pass: Pass, _ map: UnsafePointer<Int32>?) -> HiddenRows {
    let base: UnsafeMutablePointer<Float> =
      switch component {
      case .blockInput, .blockOutput: pass.gradient(inTail: inTail)
      case .attentionInput, .mlpInput: pass.normed(inTail: inTail)
      case .queryOutput, .keyOutput, .valueOutput: pass.headGradients() + offset(pass)
      case .attentionValueOutput: pass.mixed(inTail: inTail)
      case .attentionOutput, .mlpOutput:
        places?.productGradient(pass) ?? pass.normed(inTail: inTail)
      case .mlpActivation: pass.hidden(inTail: inTail)
      }
    return rows(base, pass, map)
  }

  private func rows(
    _ base: UnsafeMutablePointer<Float>,
    _ pass: Pass,
    _ map: UnsafePointer<Int32>?
  ) -> HiddenRows {
    let width = pass.shape.width(of: component)
    let stride = isOfHeads ? pass.headsWidth : width
    return HiddenRows(base: base, rowStride: stride, width: width, rowOfToken: map)
  }

  private var isOfHeads: Bool {
    [.queryOutput, .keyOutput, .valueOutput].contains(component)
  }

  /// Where the numbers of a kind of head begin in a row of all.
  private func offset(_ pass: Pass) -> Int {
    switch component {
    case .keyOutput: pass.shape.queryWidth
    case .valueOutput: pass.shape.queryWidth + pass.shape.keyValueWidth
    default: 0
    }
  }

  /// A block reads all its rows, wherever its end computes those of the tail alone.
  private var sourceIsInTail: Bool { inTail && component != .blockOutput }

  /// What the layer that makes these rows reads, on the way forward; nil where there is no such row.
  private func source(_ pass: Pass, _ map: UnsafePointer<Int32>?) -> HiddenRows? {
    guard let width = pass.shape.sourceWidth(of: component) else { return nil }
    let base: UnsafeMutablePointer<Float>
    switch component {
    case .queryOutput, .keyOutput, .valueOutput, .mlpActivation: base = pass.normed(inTail: inTail)
    case .attentionOutput: base = pass.mixed(inTail: inTail)
    case .mlpOutput: base = pass.hidden(inTail: inTail)
    case .blockOutput: base = pass.stream(block)
    case .blockInput, .attentionInput, .attentionValueOutput, .mlpInput: return nil
    }
    return HiddenRows(base: base, rowStride: width, width: width, rowOfToken: map)
  }
}

extension Pass {
  /// Hands out which row each token of the batch has; nil: row = token.
  func withRowMap(
    inTail: Bool,
    _ body: (UnsafePointer<Int32>?) throws -> Void
  ) throws {
    if inTail, let tail {
      try tail.placeOfToken.withUnsafeBufferPointer { try body($0.baseAddress) }
    } else if let map = layout.rowOfToken {
      try map.withUnsafeBufferPointer { try body($0.baseAddress) }
    } else {
      try body(nil)
    }
  }
}
