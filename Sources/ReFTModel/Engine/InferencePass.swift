// SPDX-License-Identifier: Apache-2.0
// One step of generation: new tokens of several sequences, each with its own cache.

import CReFTKernels
public import ReFTTensor

/// Runs prompts and decoded tokens through one model, with memory of its own that it reuses.
///
/// Not thread-safe; it uses the pool's threads by itself. A sequence's logits have the same bits
/// whatever other sequences are in the step.
public final class InferencePass {
  private let model: FrozenModel
  private let stack: BlockStack
  private let state = BlockState()
  private var final = GrowingBuffer()
  private var normed = GrowingBuffer()
  private var logits = GrowingBuffer()
  /// The most rows of a step, and of its sequences, that there was room for.
  private var roomiest = (rows: 0, sequences: 0)

  /// Prepares passes through a model.
  ///
  /// - Parameters:
  ///   - model: the frozen model.
  ///   - precision: of the activations of decoded tokens.
  ///   - pool: the threads to use.
  public init(
    model: FrozenModel,
    precision: DecodePrecision = .int16,
    pool: ThreadPool = .shared
  ) {
    self.model = model
    stack = BlockStack(model: model, pool: pool)
    stack.decodePrecision = precision
  }

  /// Memory for one sequence, whose keys and values are as precise as the activations.
  ///
  /// - Parameter capacity: how many tokens shall fit.
  /// - Returns: an empty cache.
  /// - Throws: `inputOutput` when the system has no such memory.
  public func makeCache(capacity: Int) throws(ReFTError) -> KVCache {
    try KVCache(model: model, capacity: capacity, format: stack.decodePrecision.cacheFormat)
  }

  /// Where the time of some steps goes.
  ///
  /// - Throws: what `body` throws.
  func profile(_ body: () throws -> Void) rethrows -> WorkProfile {
    defer { stack.clock = nil }
    return try WorkProfile { clock in
      stack.clock = clock
      try body()
    }
  }

  /// Runs the new tokens of each sequence and appends them to its cache.
  ///
  /// The flat batch that an editor sees is the sequences' new tokens laid end to end.
  ///
  /// - Returns: the logits of each sequence's last token, [sequences, vocabularySize], valid until
  ///   the next call.
  /// - Throws: `badData` for tokens or lengths that do not fit, or what the editor throws; the
  ///   caches are then as they were.
  public func step(
    _ sequences: [(cache: KVCache, tokens: [Int32])],
    editor: (any HiddenStateEditor)?
  ) throws -> UnsafeMutableBufferPointer<Float> {
    let shape = model.configuration
    try model.checkSites(editor?.sites ?? [])
    guard Set(sequences.map { ObjectIdentifier($0.cache) }).count == sequences.count else {
      throw ReFTError.cacheUsedTwice()
    }
    var tokenCount = 0
    for (cache, tokens) in sequences {
      guard !tokens.isEmpty else { throw ReFTError.emptySequence() }
      let limit = min(cache.capacity, shape.contextLength)
      guard cache.count + tokens.count <= limit else {
        throw ReFTError.sequenceTooLong(cache.count + tokens.count, contextLength: limit)
      }
      for (index, token) in tokens.enumerated()
      where token < 0 || token >= shape.vocabularySize {
        throw ReFTError.tokenOutOfRange(
          token,
          at: tokenCount + index,
          vocabularySize: shape.vocabularySize
        )
      }
      tokenCount += tokens.count
    }
    let d = shape.hiddenSize
    let n = sequences.count
    try checkRoom(rows: tokenCount, sequences: n)
    stack.layout = PassLayout(sequences)
    stack.editor = editor
    stack.sites = editor?.sites ?? []
    let isDecode = tokenCount == n
    stack.tail =
      editor?.needsAllRows == true || isDecode
      ? nil
      : TailRows(rows: stack.layout.lastRows, layout: stack.layout, tokenCount: tokenCount)
    stack.embed(into: state.input.floats(tokenCount * d))
    for index in 0..<shape.layers {
      try stack.forward(
        index,
        state: state,
        output: { self.final.floats($0) },
        keepsState: false
      )
      swap(&final, &state.input)
    }
    let normed = self.normed.floats(n * d)
    let out = state.input.floats(tokenCount * d)
    for (place, row) in stack.layout.lastRows.enumerated() {
      let source = stack.tail == nil ? Int(row) : place
      reft_rmsnorm_f32(
        1,
        d,
        out + source * d,
        d,
        model.outputNorm.base,
        shape.normEpsilon,
        normed + place * d,
        d
      )
    }
    let count = n * shape.vocabularySize
    let logits = self.logits.floats(count)
    stack.multiplyHead(x: normed, y: logits)
    for (cache, tokens) in sequences { cache.count += tokens.count }
    return UnsafeMutableBufferPointer(start: logits, count: count)
  }

  /// Makes sure of the memory of a step that is larger than those before, while an error can still be
  /// told.
  private func checkRoom(rows: Int, sequences: Int) throws(ReFTError) {
    guard rows > roomiest.rows || sequences > roomiest.sequences else { return }
    let shape = model.configuration
    let row =
      5 * shape.hiddenSize + 2 * shape.queryWidth + 2 * shape.keyValueWidth
      + 3 * shape.feedForwardSize
    let purpose = MemoryPurpose(
      "reading \(rows) tokens at once",
      remedy: "use shorter prompts or fewer at once"
    )
    let floats = try MemoryRoom.product(rows, row, for: purpose)
    let logits = try MemoryRoom.product(sequences, shape.vocabularySize, for: purpose)
    try MemoryRoom.check(byteCount: 4 * (floats + logits), for: purpose)
    roomiest = (max(rows, roomiest.rows), max(sequences, roomiest.sequences))
  }
}
