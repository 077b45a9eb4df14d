// SPDX-License-Identifier: Apache-2.0
// What is asked of one pass over a batch, checked and laid out: the same on every device.

package import ReFTTensor

/// A pass over a batch, from its tokens to the final states of some of them and perhaps back.
package struct BatchPass {
  /// The sites that are edited.
  package let sites: Set<Site>
  /// The rows that are computed.
  package let layout: PassLayout
  /// The rows of the tokens whose final states are wanted.
  package let rows: [Int32]
  /// The rows that the end of the last block still computes; nil for all.
  package let tail: TailRows?
  /// Whether the way back runs; without edits and updates there is none.
  package let goesBack: Bool
  /// The first block that keeps what its way back needs.
  package let firstKept: Int

  /// Checks a request and lays out its rows.
  ///
  /// - Parameters:
  ///   - model: the model.
  ///   - batch: the sequences.
  ///   - tokens: the batch indices of the tokens whose final states are wanted, ascending.
  ///   - editor: edits hidden states, and takes their gradients.
  ///   - differentiates: whether the way back is asked for.
  ///   - start: where to start instead of at the embeddings.
  /// - Throws: `badData` for tokens or lengths that the model does not allow, `usage` for a start
  ///   or a site that does not fit.
  package init(
    _ model: FrozenModel,
    _ batch: PackedBatch,
    outputs tokens: [Int32],
    editor: (any HiddenStateEditor)?,
    differentiates: Bool,
    from start: BlockInput?
  ) throws(ReFTError) {
    try model.check(batch)
    try model.check(start, batch, editor)
    let sites = editor?.sites ?? []
    let layout = PassLayout(batch, of: model, outputs: tokens, editor: editor)
    let rows = tokens.map { layout.row(ofToken: $0) }
    let isWhole = editor?.needsAllRows == true
    (self.sites, self.layout, self.rows) = (sites, layout, rows)
    tail = isWhole ? nil : TailRows(rows: rows, layout: layout, tokenCount: batch.tokens.count)
    let updates = editor?.productUpdates
    goesBack = differentiates && !(sites.isEmpty && updates == nil)
    let layers = model.configuration.layers
    let firstEdited = min(Self.firstKept(sites, layers: layers), updates?.lowestBlock ?? layers)
    firstKept = goesBack ? firstEdited : layers
  }

  /// The first block whose way back is needed: that above the lowest edit, if it is an output.
  private static func firstKept(_ sites: Set<Site>, layers: Int) -> Int {
    let lowest = sites.map(\.block).min() ?? layers
    let onlyOutput = !sites.contains { $0.block == lowest && $0.component != .blockOutput }
    return onlyOutput ? lowest + 1 : lowest
  }
}

extension PassLayout {
  /// The rows of a batch.
  ///
  /// What all its sequences begin with is computed once, unless rows see what is behind them.
  package init(
    _ batch: PackedBatch,
    of model: FrozenModel,
    outputs: [Int32],
    editor: (any HiddenStateEditor)?
  ) {
    let limit = model.plan.isEncoder ? 0 : editor?.sharedPrefixLimit ?? Int.max
    self.init(batch, sharedPrefix: batch.sharedPrefix(limit: limit, outputs: outputs))
  }
}

extension FrozenModel {
  /// Checks the tokens, types and lengths of a batch.
  ///
  /// - Throws: `badData`.
  package func check(_ batch: PackedBatch) throws(ReFTError) {
    for segment in batch.segments {
      guard segment.count > 0 else { throw .emptySequence() }
      guard segment.count <= configuration.contextLength else {
        throw .sequenceTooLong(segment.count, contextLength: configuration.contextLength)
      }
    }
    try check(tokens: batch.tokens)
    try check(tokens: batch.labels)
    // A model without types of tokens, such as a decoder, reads a pair as one text.
    guard embedding.types != nil else { return }
    let types = embedding.typeCount
    if let type = batch.types.first(where: { !(0..<types).contains(Int($0)) }) {
      throw .tokenTypeOutOfRange(type, types: types)
    }
  }

  fileprivate func check(
    _ start: BlockInput?,
    _ batch: PackedBatch,
    _ editor: (any HiddenStateEditor)?
  ) throws(ReFTError) {
    let sites = editor?.sites ?? []
    try checkSites(sites)
    let updates = editor?.productUpdates
    try check(updates)
    guard let start else { return }
    try checkBlock(start.block)
    let expected = batch.tokens.count * configuration.hiddenSize
    guard start.rows.count == expected else {
      throw .startOfAnotherBatch(floats: start.rows.count, expected: expected)
    }
    let earliest = Site(block: start.block - 1, component: .blockOutput)
    if let site = sites.first(where: { $0.block < start.block && $0 != earliest }) {
      throw .startAboveEdit(site, start: start.block)
    }
    if let lowest = updates?.lowestBlock, lowest < start.block {
      throw .startAboveUpdate(block: lowest, start: start.block)
    }
    if editor?.edits(at: earliest).contains(where: \.needsSource) == true {
      throw .startBehindSource(earliest, start: start.block)
    }
  }

  /// Checks token ids, the first of which is token `first` of its batch.
  ///
  /// - Throws: `badData`.
  package func check(
    tokens: some Collection<Int32>,
    from first: Int = 0
  ) throws(ReFTError) {
    let vocabulary = configuration.vocabularySize
    for (index, token) in tokens.enumerated() where token < 0 || token >= vocabulary {
      throw .tokenOutOfRange(token, at: first + index, vocabularySize: vocabulary)
    }
  }

  /// Checks that tokens whose final states are wanted are tokens of a batch, ascending.
  ///
  /// - Throws: `usage`.
  package func checkOutputs(_ tokens: [Int32], of batch: PackedBatch) throws(ReFTError) {
    var last: Int32 = -1
    for token in tokens {
      guard token > last, token < batch.tokens.count else {
        throw .outputOutOfRange(token, tokens: batch.tokens.count)
      }
      last = token
    }
  }

  /// Checks the sequences of a step.
  ///
  /// - Returns: how many tokens they have together.
  /// - Throws: `usage` for a cache that stands twice, `badData` for tokens that do not fit.
  package func check(steps: [SequenceStep]) throws(ReFTError) -> Int {
    guard Set(steps.map { ObjectIdentifier($0.cache) }).count == steps.count else {
      throw .cacheUsedTwice()
    }
    var tokenCount = 0
    for step in steps {
      guard !step.tokens.isEmpty else { throw .emptySequence() }
      let limit = min(step.cache.capacity, configuration.contextLength)
      guard step.cache.count + step.tokens.count <= limit else {
        throw .sequenceTooLong(step.cache.count + step.tokens.count, contextLength: limit)
      }
      try check(tokens: step.tokens, from: tokenCount)
      tokenCount += step.tokens.count
    }
    return tokenCount
  }
}

extension PackedBatch {
  /// Fewer tokens than these are not worth sharing.
  private static let leastShared = 8

  /// How many leading tokens all sequences share, so that their rows need computing only once.
  ///
  /// - Parameters:
  ///   - limit: the most of them.
  ///   - outputs: batch indices of tokens that need a row of their own.
  /// - Returns: their number, 0 where sharing them is not worth it.
  func sharedPrefix(limit: Int, outputs: [Int32]) -> Int {
    guard segments.count > 1, let first = segments.first else { return 0 }
    var limit = limit
    for segment in segments { limit = min(limit, segment.count - 1) }
    guard limit >= Self.leastShared else { return 0 }
    // Both lists ascend.
    var place = 0
    for token in outputs {
      // Such a row belongs to its own sequence.
      while place + 1 < segments.count, segments[place + 1].start <= Int(token) { place += 1 }
      limit = min(limit, Int(token) - segments[place].start)
    }
    var count = 0
    while count < limit {
      let token = tokens[first.start + count]
      guard segments.allSatisfy({ tokens[$0.start + count] == token }) else { break }
      if !types.isEmpty {
        let type = types[first.start + count]
        guard segments.allSatisfy({ types[$0.start + count] == type }) else { break }
      }
      count += 1
    }
    return count < Self.leastShared ? 0 : count
  }
}
