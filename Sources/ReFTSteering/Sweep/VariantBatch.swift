// SPDX-License-Identifier: Apache-2.0
// Some texts once for each adapter, all in one pass: the weights are read once for all strengths,
// and the blocks below the edits are computed once for all of them.

import ReFTHost
import ReFTModel
import ReFTTensor

/// Texts, each once for each variant.
struct VariantBatch {
  /// A text in the batch.
  struct Text {
    var ids: [Int32]
    /// One per token, −100 is none; empty where nothing is predicted.
    var labels: [Int32] = []
    var promptLength: Int

    init(_ text: EncodedContrast, predicts: Bool = false) {
      ids = text.ids
      labels = predicts ? text.labels : []
      promptLength = text.promptLength
    }

    init(ids: [Int32]) { (self.ids, promptLength) = (ids, ids.count) }
  }

  /// All sequences, variant after variant.
  private(set) var packed = PackedBatch()
  private let session: EditSession
  private let start: BlockInput?

  /// Lays texts out.
  ///
  /// - Parameters:
  ///   - texts: the texts of one copy.
  ///   - variants: the adapter of each copy; nil for the frozen model.
  ///   - runtime: computes what lies below the edits.
  /// - Throws: what the model or positions throw.
  init(_ texts: [Text], variants: [Adapter?], _ runtime: any DeviceRuntime) throws {
    var one = PackedBatch()
    for text in texts { one.append(text) }
    var edits: [SequenceEdit] = []
    for adapter in variants {
      for text in texts {
        edits.append(
          SequenceEdit(
            adapter: adapter,
            start: packed.tokens.count,
            count: text.ids.count,
            promptLength: text.promptLength,
            promptTokens: text.ids.prefix(text.promptLength)
          )
        )
        packed.append(text)
      }
    }
    session = try EditSession(edits)
    start = try Self.start(one, variants, runtime)
  }

  /// What the frozen blocks below all edits compute, once for each copy; nil where there are none.
  private static func start(
    _ texts: PackedBatch,
    _ variants: [Adapter?],
    _ runtime: any DeviceRuntime
  ) throws -> BlockInput? {
    let layers = runtime.model.configuration.layers
    let depth = variants.map { $0?.frozenDepth ?? layers }.min() ?? 0
    guard variants.count > 1, (1..<layers).contains(depth) else { return nil }
    let below = try runtime.blockInput(depth, of: texts)
    let rows = try FloatBuffer(
      reserving: below.rows.count * variants.count,
      for: MemoryPurpose(
        "the hidden states of \(variants.count) strengths",
        remedy: "sweep fewer strengths at once, or lower --micro-batch-tokens"
      )
    )
    for copy in variants.indices {
      (rows.base + copy * below.rows.count).update(from: below.rows.base, count: below.rows.count)
    }
    return BlockInput(block: depth, rows: rows)
  }

  private var editor: EditSession? { session.isEmpty ? nil : session }

  /// −log p of the labels of each sequence, summed.
  func losses(_ runtime: any DeviceRuntime) throws -> [Double] {
    let each = try runtime.loss(packed, editor: editor, from: start)
    var sums = [Double](repeating: 0, count: packed.segments.count)
    var sequence = 0
    for (token, loss) in zip(packed.labelTokens, each) {
      while packed.segments[sequence].start + packed.segments[sequence].count <= Int(token) {
        sequence += 1
      }
      sums[sequence] += Double(loss)
    }
    return sums
  }

  /// The final states of some tokens of each sequence, sequence after sequence.
  ///
  /// - Parameters:
  ///   - runtime: the model.
  ///   - tokens: positions in a sequence, ascending, given its number.
  ///   - body: takes the states.
  /// - Throws: what the model, plugins or `body` throw.
  func finalStates(
    _ runtime: any DeviceRuntime,
    of tokens: (Int) -> some Sequence<Int>,
    _ body: (UnsafePointer<Float>) throws -> Void
  ) throws {
    var outputs: [Int32] = []
    for (number, segment) in packed.segments.enumerated() {
      for token in tokens(number) { outputs.append(Int32(segment.start + token)) }
    }
    try runtime.hiddenStates(of: packed, at: outputs, editor: editor, from: start, body)
  }
}

extension PackedBatch {
  fileprivate mutating func append(_ text: VariantBatch.Text) {
    if text.labels.isEmpty {
      append(ids: text.ids)
    } else {
      append(ids: text.ids, labels: text.labels)
    }
  }
}
