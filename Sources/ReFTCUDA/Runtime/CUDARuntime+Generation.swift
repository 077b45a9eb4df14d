// SPDX-License-Identifier: Apache-2.0
// One step of generation on the card: new tokens of several sequences, each with its own cache.

package import ReFTModel
package import ReFTTensor

extension CUDARuntime {
  /// A cache for one sequence of at most `capacity` tokens; its memory follows the tokens.
  package func makeSequenceCache(capacity: Int) throws(ReFTError) -> any SequenceCache {
    DeviceCache(pass, capacity: capacity)
  }

  /// Runs the new tokens of each sequence and appends them to its cache.
  package func step(
    sequences: [SequenceStep],
    editor: (any HiddenStateEditor)?
  ) throws -> UnsafeMutableBufferPointer<Float> {
    try step(sequences, editor) { logits throws(ReFTError) in try fetch(logits, sequences.count) }
  }

  /// The same, with each sequence's likeliest token chosen on the card.
  package func likeliestTokens(
    sequences: [SequenceStep],
    editor: (any HiddenStateEditor)?
  ) throws -> [LikeliestToken]? {
    try step(sequences, editor) { logits throws(ReFTError) in
      try likeliest(logits, sequences.count)
    }
  }

  /// Runs a step, whose logits, on the card, `take` turns into what is wanted.
  private func step<Taken>(
    _ sequences: [SequenceStep],
    _ editor: (any HiddenStateEditor)?,
    _ take: (DevicePointer) throws(ReFTError) -> Taken
  ) throws -> Taken {
    guard let head = weights.head else {
      throw ReFTError.predictsNoTokens(model.plan.architecture, model.path)
    }
    try model.check(editor?.productUpdates)
    try model.checkSites(editor?.sites ?? [])
    _ = try model.check(steps: sequences)
    let caches = try sequences.map { sequence in
      guard let cache = sequence.cache as? DeviceCache else {
        throw ReFTError.cacheOfOtherDevice()
      }
      return cache
    }
    for (cache, sequence) in zip(caches, sequences) { try cache.reserve(sequence.tokens.count) }
    let logits: DevicePointer
    let isDecode = sequences.allSatisfy { $0.tokens.count == 1 && $0.cache.count > 0 }
    if isDecode, try isRecordable(sequences.count, editor) {
      logits = try replay(sequences, caches, head, editor)
    } else {
      logits = try run(sequences, caches, editor, head, isDecode: isDecode)
    }
    let taken = try take(logits)
    try forms.check()
    for (cache, sequence) in zip(caches, sequences) {
      cache.settle(count: cache.count + sequence.tokens.count)
    }
    return taken
  }

  /// Whether a step of so many decoded tokens can be recorded; its edits have begun then.
  private func isRecordable(_ rows: Int, _ editor: (any HiddenStateEditor)?) throws -> Bool {
    guard rows <= Operations.mostFewRows, editor?.productUpdates == nil else { return false }
    try forms.begin(editor)
    note(editor)
    return forms.areAlike(editor, rows: rows)
  }

  private func run(
    _ sequences: [SequenceStep],
    _ caches: [DeviceCache],
    _ editor: (any HiddenStateEditor)?,
    _ head: DeviceHead,
    isDecode: Bool
  ) throws -> DevicePointer {
    let layout = PassLayout(steps: sequences)
    pass.isFew = isDecode && sequences.count <= Operations.mostFewRows
    try pass.begin(
      layout,
      sites: editor?.sites ?? [],
      firstKept: model.configuration.layers,
      needsTiles: !pass.isFew
    )
    pass.caches = try DeviceCaches(caches, pass)
    try begin(editor)
    defer { (pass.taps, pass.updates, pass.caches) = (nil, nil, nil) }
    try pass.embed()
    try forward(0..<model.configuration.layers)
    let pick = try pass.lists.put(layout.lastRows)
    return try logits(sequences.count, pick: pick, head)
  }

  /// The logits of some rows, on the card.
  func logits(
    _ count: Int,
    pick: DevicePointer,
    _ head: DeviceHead
  ) throws(ReFTError) -> DevicePointer {
    let vocabulary = head.matrix.rows
    let logits = try pass.floats(.logits, vocabulary, rows: count)
    if pass.isFew, count == pass.rows, let norm = weights.finalNorm,
      operations.takesNorm(head.matrix, rows: count)
    {
      try operations.multiply(
        FewProduct(
          matrix: head.matrix,
          rows: count,
          input: .stream(try pass.stream(model.configuration.layers), norm),
          output: .floats(logits, accumulates: false)
        )
      )
    } else {
      try operations.multiply(
        head.matrix,
        rows: count,
        try finalStates(count, pick: pick),
        to: logits,
        isFloat: true,
        isFew: count <= Operations.mostFewRows
      )
    }
    if head.bias != nil || head.softCap != 0 {
      try operations.launch(
        try operations.kernel("finish_logits", .loss),
        grid: operations.runs(count * vocabulary),
        count,
        vocabulary,
        head.bias?.pointer,
        head.softCap,
        logits
      )
    }
    return logits
  }

  /// The largest of each sequence's logits, found on the card.
  private func likeliest(
    _ logits: DevicePointer,
    _ count: Int
  ) throws(ReFTError) -> [LikeliestToken] {
    let found = try pass.memory.bytes(.likeliest, count * 8)
    try operations.launch(
      try operations.kernel("argmax", .loss),
      grid: (count, 1, 1),
      block: 1024,
      count,
      model.configuration.vocabularySize,
      logits,
      found
    )
    let memory = try hostRoom(2 * count)
    try device.copyOut(found, count * 8, to: memory.base)
    try device.synchronise()
    return (0..<count).map { row in
      LikeliestToken(
        id: memory.base.load(fromByteOffset: 8 * row, as: Int32.self),
        logit: memory.base.load(fromByteOffset: 8 * row + 4, as: Float.self)
      )
    }
  }

  /// Copies logits here.
  func fetch(
    _ logits: DevicePointer,
    _ count: Int
  ) throws(ReFTError) -> UnsafeMutableBufferPointer<Float> {
    let total = count * model.configuration.vocabularySize
    let memory = try hostRoom(total)
    try device.copyOut(logits, total * 4, to: memory.base)
    try device.synchronise()
    return UnsafeMutableBufferPointer(
      start: memory.base.assumingMemoryBound(to: Float.self),
      count: total
    )
  }

  private func hostRoom(_ floats: Int) throws(ReFTError) -> PinnedMemory {
    if let hostLogits, hostLogits.byteCount >= floats * 4 { return hostLogits }
    let grown = try device.pinned(floats * 4)
    hostLogits = grown
    return grown
  }
}
