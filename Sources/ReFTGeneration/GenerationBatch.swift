// SPDX-License-Identifier: Apache-2.0
// Generates several texts at once: whenever one is done, the next one takes its place.

public import ReFTHost
public import ReFTModel
public import ReFTTensor

/// A batch of texts in generation, which requests join and leave between steps.
///
/// Each text has its own cache, random numbers and adapter; its tokens are the same whatever else is
/// in the batch, and where one cannot go on, the others do. Not thread-safe.
public final class GenerationBatch {
  /// Prompts read in one step have at most this many tokens together, unless one alone has more:
  /// it bounds the memory of a step.
  private static let promptTokensPerStep = 4096

  private let model: LoadedModel
  private let size: Int
  private let loadSeconds: Double
  private let pass: ModelRuntime
  private var waiting: [GeneratingSequence] = []
  private var active: [GeneratingSequence] = []
  private var submitted = 0
  /// The weight that makes outputs no numbers; looked for once, when one is.
  private lazy var weightFault = model.frozen.explainNotFinite()
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
    pass = ModelRuntime(model: model.frozen, precision: precision)
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
  /// An intervention that reports an error, memory that is not there, or an output that is no number
  /// ends the request that it belongs to with a `failed` event. Where the step of several requests
  /// fails, each is taken alone, so that the tokens of the others are those of a batch without it.
  ///
  /// - Returns: what happened, in the order of the requests.
  public func step() -> [GenerationEvent] {
    let arriving = nextPrompts()
    waiting.removeFirst(arriving.count)
    let group = arriving.isEmpty ? active : arriving
    let events = advance(group, isDecode: arriving.isEmpty)
    let failed = Set(events.compactMap(\.failedRequest))
    active.removeAll { $0.finishReason != nil || failed.contains($0.number) }
    active += arriving.filter { $0.finishReason == nil && !failed.contains($0.number) }
    return events
  }

  /// One step of some requests together, or of each alone where that fails.
  private func advance(_ group: [GeneratingSequence], isDecode: Bool) -> [GenerationEvent] {
    guard !group.isEmpty else { return [] }
    do {
      return events(of: group, try run(group, isDecode: isDecode))
    } catch {
      // The session has gone on already; the same step again needs a new one.
      decoding = nil
      guard group.count == 1 else {
        return group.flatMap { advance([$0], isDecode: isDecode) }
      }
      let known = error as? ReFTError ?? ReFTError(.internalFault, "\(error)", cause: error)
      // A plugin that gets numbers that are none cannot make any of them.
      let fault = known.code == .misbehaved ? weightFault : nil
      return [.failed(request: group[0].number, fault ?? known)]
    }
  }

  /// The logits of some requests' last tokens; on an error their caches are as they were.
  private func run(
    _ group: [GeneratingSequence],
    isDecode: Bool
  ) throws -> UnsafeMutableBufferPointer<Float> {
    let start = ContinuousClock.now
    var offset = 0
    var sequences: [(cache: KVCache, tokens: [Int32])] = []
    var edits: [SequenceEdit] = []
    for sequence in group {
      let tokens = sequence.unreadTokens
      edits.append(sequence.edit(at: offset))
      sequences.append((try sequence.keysAndValues(), tokens))
      offset += tokens.count
    }
    let session = try self.session(of: group, edits, isDecode: isDecode)
    let logits = try pass.step(sequences, editor: session.flatMap { $0.isEmpty ? nil : $0 })
    if !isDecode {
      let seconds = (ContinuousClock.now - start).seconds
      for sequence in group { sequence.notePrompt(seconds: seconds) }
    }
    return logits
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

  /// Chooses the next token of each request; one whose logits are no numbers fails.
  private func events(
    of group: [GeneratingSequence],
    _ logits: UnsafeMutableBufferPointer<Float>
  ) -> [GenerationEvent] {
    var events: [GenerationEvent] = []
    let width = model.configuration.vocabularySize
    for (index, sequence) in group.enumerated() {
      let row = UnsafeMutableBufferPointer(
        rebasing: logits[(index * width)..<((index + 1) * width)]
      )
      do throws(ReFTError) {
        let text = try sequence.advance(logits: row)
        if !text.isEmpty { events.append(.text(request: sequence.number, text)) }
      } catch {
        events.append(.failed(request: sequence.number, weightFault ?? error))
        continue
      }
      if let reason = sequence.finishReason {
        let result = sequence.result(reason, loadSeconds: loadSeconds)
        events.append(.finished(request: sequence.number, result))
      }
    }
    return events
  }
}

extension GenerationEvent {
  /// The request that failed, if this tells of one.
  fileprivate var failedRequest: Int? {
    if case .failed(let number, _) = self { number } else { nil }
  }
}
