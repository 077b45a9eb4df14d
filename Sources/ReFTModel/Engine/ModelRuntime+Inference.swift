// SPDX-License-Identifier: Apache-2.0
// One step of generation: new tokens of several sequences, each with its own cache.

import CReFTKernels
public import ReFTTensor

extension ModelRuntime {
  /// A cache for one sequence, whose keys and values are as precise as the activations and lie in
  /// `cachePages`.
  ///
  /// - Parameter capacity: how many tokens may come.
  /// - Returns: an empty cache.
  /// - Throws: `inputOutput` when the system has not the memory of so many now.
  public func makeCache(capacity: Int) throws(ReFTError) -> KVCache {
    try KVCache(cachePages, capacity: capacity)
  }

  /// Runs the new tokens of each sequence and appends them to its cache.
  ///
  /// The flat batch that an editor sees is the sequences' new tokens laid end to end.
  ///
  /// - Returns: the logits of each sequence's last token, [sequences, vocabularySize], valid until
  ///   the next call.
  /// - Throws: `badData` for tokens or lengths that do not fit, `inputOutput` when the system has no
  ///   memory for their keys and values, or what the editor throws; the caches are then as they were.
  public func step(
    _ sequences: [(cache: KVCache, tokens: [Int32])],
    editor: (any HiddenStateEditor)?
  ) throws -> UnsafeMutableBufferPointer<Float> {
    let head = try model.languageHead()
    try model.checkSites(editor?.sites ?? [])
    try model.check(editor?.productUpdates)
    let tokenCount = try model.check(
      steps: sequences.map { SequenceStep(cache: $0.cache, tokens: $0.tokens) }
    )
    try checkRoom(rows: tokenCount, sequences: sequences.count)
    defer { pass.end() }
    do {
      for (cache, tokens) in sequences { try cache.reserve(tokens.count) }
      try forward(sequences, tokenCount: tokenCount, editor: editor)
    } catch {
      for (cache, _) in sequences { cache.settle(count: cache.count) }
      throw error
    }
    let logits = logits(sequences.count, head)
    for (cache, tokens) in sequences { cache.settle(count: cache.count + tokens.count) }
    return logits
  }

  private func forward(
    _ sequences: [(cache: KVCache, tokens: [Int32])],
    tokenCount: Int,
    editor: (any HiddenStateEditor)?
  ) throws {
    let layout = PassLayout(sequences)
    let isWhole = editor?.needsAllRows == true || tokenCount == sequences.count
    pass.begin(
      layout,
      tail: isWhole
        ? nil : TailRows(rows: layout.lastRows, layout: layout, tokenCount: tokenCount),
      editor: editor,
      firstKept: model.configuration.layers
    )
    embed()
    try forward(program(editor?.sites ?? [], narrows: !isWhole).steps[...])
  }

  /// Logits of the last row of each sequence.
  private func logits(
    _ count: Int,
    _ head: LanguageHeadWeights
  ) -> UnsafeMutableBufferPointer<Float> {
    let (d, norm) = (model.configuration.hiddenSize, model.finalNorm?.rows)
    let layers = model.configuration.layers
    let normed = finalNormed.floats(count * d)
    let out = pass.stream(layers, inTail: pass.tail != nil)
    for (place, row) in pass.layout.lastRows.enumerated() {
      let source = out + (pass.tail == nil ? Int(row) : place) * d
      if let norm {
        norm.apply(source, normed + place * d)
      } else {
        (normed + place * d).update(from: source, count: d)
      }
    }
    let total = count * model.configuration.vocabularySize
    let result = logits.floats(total)
    for run in pass.layout.lastRuns {
      pass.multiplyFew(head.weight, run: run, x: normed, y: result, accumulate: false)
    }
    if let bias = head.bias { pass.rows(count, addition(of: bias, to: result)) }
    if let cap = head.softCap {
      let width = model.configuration.vocabularySize
      pass.rows(count) { row in reft_softcap_f32(width, 1, cap, result + row * width) }
    }
    pass.clock?.lap(.head)
    return UnsafeMutableBufferPointer(start: result, count: total)
  }
}
