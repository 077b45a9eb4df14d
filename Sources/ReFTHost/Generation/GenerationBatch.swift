// SPDX-License-Identifier: Apache-2.0
// Generates several texts at once: whenever one is done, the next one takes its place.

public import ReFTModel
public import ReFTTensor

/// A batch of texts in generation, which requests join and leave between steps.
///
/// Each text has its own cache, random numbers and adapter; its tokens are the same whatever else is
/// in the batch. Not thread-safe.
public final class GenerationBatch {
  /// Prompts read in one step have at most this many tokens together, unless one alone has more:
  /// it bounds the memory of a step.
  private static let promptTokensPerStep = 4096

  private let model: LoadedModel
  private let size: Int
  private let loadSeconds: Double
  private let pass: InferencePass
  private var waiting: [GeneratingSequence] = []
  private var active: [GeneratingSequence] = []
  private var submitted = 0
  /// The edits of the last step, when it decoded one token of each of these requests.
  private var decoding: (requests: [Int], session: EditSession?)?

  /// Prepares a batch.
  ///
  /// - Parameters:
  ///   - model: the frozen model.
  ///   - size: how many texts are generated at once; at least 1.
  ///   - loadSeconds: how long opening the model took, for the results' timings.
  ///   - precision: of the activations of generated tokens.
  /// - Throws: `usage` for a size below 1.
  public init(
    model: LoadedModel,
    size: Int = 1,
    loadSeconds: Double = 0,
    precision: DecodePrecision = .int16
  ) throws(ReFTError) {
    guard size >= 1 else { throw .batchTooSmall(size) }
    self.model = model
    self.size = size
    self.loadSeconds = loadSeconds
    pass = InferencePass(model: model.frozen, precision: precision)
  }

  /// Whether no text is waiting or in generation.
  public var isIdle: Bool { waiting.isEmpty && active.isEmpty }

  /// Takes a request in.
  ///
  /// - Returns: its number, from 0 on, by which events name it.
  /// - Throws: `usage` for a prompt or options that cannot be, `badData` from the chat template.
  @discardableResult
  public func submit(_ request: GenerationRequest) throws(ReFTError) -> Int {
    let ids = try request.checkedPromptIds(for: model)
    let number = submitted
    waiting.append(
      GeneratingSequence(
        number: number,
        request: request,
        promptIds: ids,
        model: model,
        pass: pass
      )
    )
    submitted += 1
    return number
  }

  /// Forgets a request, wherever it stands; one that is done already is no error.
  public func cancel(_ number: Int) {
    waiting.removeAll { $0.number == number }
    active.removeAll { $0.number == number }
  }

  /// Reads waiting prompts where there is room, or else generates one token for each text.
  ///
  /// - Returns: what happened, in the order of the requests.
  /// - Throws: what an intervention reports; the batch is then as it was.
  public func step() throws -> [GenerationEvent] {
    let arriving = nextPrompts()
    let group = arriving.isEmpty ? active : arriving
    guard !group.isEmpty else { return [] }
    let start = ContinuousClock.now
    var offset = 0
    var sequences: [(cache: KVCache, tokens: [Int32])] = []
    var edits: [SequenceEdit] = []
    for sequence in group {
      let tokens = sequence.unreadTokens
      edits.append(sequence.edit(at: offset))
      sequences.append((sequence.cache, tokens))
      offset += tokens.count
    }
    let session = try self.session(of: group, edits, isDecode: arriving.isEmpty)
    let logits: UnsafeMutableBufferPointer<Float>
    do {
      logits = try pass.step(sequences, editor: session.flatMap { $0.isEmpty ? nil : $0 })
    } catch {
      // The session has gone on already; the same step again needs a new one.
      decoding = nil
      throw error
    }
    if !arriving.isEmpty {
      let seconds = (ContinuousClock.now - start).seconds
      for sequence in arriving { sequence.notePrompt(seconds: seconds) }
      waiting.removeFirst(arriving.count)
      active += arriving
    }
    return try advance(group, logits)
  }

  /// The edits of a step; those of the last one go on where the same texts do.
  private func session(
    of group: [GeneratingSequence],
    _ edits: [SequenceEdit],
    isDecode: Bool
  ) throws(ReFTError) -> EditSession? {
    let requests = group.map(\.number)
    if isDecode, let decoding, decoding.requests == requests {
      decoding.session?.advance()
      return decoding.session
    }
    let session = edits.contains { $0.adapter != nil } ? try EditSession(edits) : nil
    decoding = isDecode ? (requests, session) : nil
    return session
  }

  /// The waiting prompts that the next step reads.
  private func nextPrompts() -> [GeneratingSequence] {
    var tokenCount = 0
    return Array(
      waiting.prefix(max(0, size - active.count)).prefix { sequence in
        defer { tokenCount += sequence.promptIds.count }
        return tokenCount == 0
          || tokenCount + sequence.promptIds.count <= Self.promptTokensPerStep
      }
    )
  }

  private func advance(
    _ group: [GeneratingSequence],
    _ logits: UnsafeMutableBufferPointer<Float>
  ) throws(ReFTError) -> [GenerationEvent] {
    var events: [GenerationEvent] = []
    let width = model.configuration.vocabularySize
    for (index, sequence) in group.enumerated() {
      let row = UnsafeMutableBufferPointer(
        rebasing: logits[(index * width)..<((index + 1) * width)]
      )
      let text = try sequence.advance(logits: row)
      if !text.isEmpty { events.append(.text(request: sequence.number, text)) }
      if let reason = sequence.finishReason {
        let result = sequence.result(reason, loadSeconds: loadSeconds)
        events.append(.finished(request: sequence.number, result))
      }
    }
    active.removeAll { $0.finishReason != nil }
    return events
  }
}
