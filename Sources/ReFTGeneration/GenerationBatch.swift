// SPDX-License-Identifier: Apache-2.0
// Generates several texts at once: whenever one is done, the next one takes its place, and its prompt
// is read in pieces while the others go on.

public import ReFTHost
public import ReFTModel
public import ReFTTensor

/// A batch of texts in generation, which requests join and leave between steps.
///
/// Each text has its own cache, random numbers and adapter; its tokens are the same whatever else is
/// in the batch, and where one cannot go on, the others do. Not thread-safe.
public final class GenerationBatch {
  private let model: LoadedModel
  private let size: Int
  private let loadSeconds: Double
  private let promptTokensPerStep: Int
  private let runtime: any DeviceRuntime
  private let trace: EditTrace?
  private var waiting: [GeneratingSequence] = []
  /// Those whose prompts are being read, in the order in which they came.
  private var reading: [GeneratingSequence] = []
  /// Those that get a token in every step.
  private var writing: [GeneratingSequence] = []
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
  ///   - promptTokensPerStep: how many tokens of prompts a step reads while texts are being written;
  ///     fewer let these go on more evenly, more read prompts faster. It changes no text.
  ///   - device: where the model runs.
  ///   - trace: is told what edits change, under the numbers of the requests; nil where nobody asks.
  /// - Throws: `usage` for a size below 1, or what the device reports.
  public init(
    model: LoadedModel,
    size: Int = 1,
    loadSeconds: Double = 0,
    precision: DecodePrecision = .int16,
    promptTokensPerStep: Int = GenerationBatch.usualPromptTokensPerStep,
    device: any ComputeDevice = ProcessorDevice.shared,
    trace: EditTrace? = nil
  ) throws(ReFTError) {
    guard size >= 1 else { throw .batchTooSmall(size) }
    self.model = model
    self.size = size
    self.loadSeconds = loadSeconds
    self.promptTokensPerStep = promptTokensPerStep
    self.trace = trace
    runtime = try device.makeRuntime(model.frozen, for: .generation, precision: precision)
  }

  /// How many tokens of prompts a step reads beside texts that are being written.
  public static let usualPromptTokensPerStep = PromptPieces.besideOthers

  /// Whether no text is waiting or in generation.
  public var isIdle: Bool { waiting.isEmpty && reading.isEmpty && writing.isEmpty }

  /// The pages of the keys and values of all texts in generation; nil on other devices.
  public var pages: CachePages? { (runtime as? ModelRuntime)?.cachePages }

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
        runtime: runtime
      )
    )
    submitted += 1
    return number
  }

  /// Forgets a request, wherever it stands; one that is done already is no error.
  public func cancel(_ number: Int) {
    let leaves = { (sequence: GeneratingSequence) in sequence.number == number }
    waiting.removeAll(where: leaves)
    reading.removeAll(where: leaves)
    writing.removeAll(where: leaves)
  }

  /// Some tokens of a request that a step reads.
  private struct Turn {
    let sequence: GeneratingSequence
    let count: Int
  }

  /// Generates one token for each text that is being written, and reads prompts, or pieces of long
  /// ones, where there is room; whose prompt is read whole gets its first token.
  ///
  /// An intervention that reports an error, memory that is not there, or an output that is no number
  /// ends the request that it belongs to with a `failed` event. Where the step of several requests
  /// fails, each is taken alone, so that the tokens of the others are those of a batch without it.
  ///
  /// - Returns: what happened, in the order of the requests.
  public func step() -> [GenerationEvent] {
    let isAlone = writing.isEmpty
    let written = advance(writing.map { Turn(sequence: $0, count: 1) }, isDecode: true)
    writing = left(of: writing, after: written)

    let joining = waiting.prefix(max(0, size - writing.count - reading.count))
    reading += joining
    waiting.removeFirst(joining.count)
    let budget = isAlone ? max(PromptPieces.alone, promptTokensPerStep) : promptTokensPerStep
    let counts = PromptPieces.counts(reading.map(\.prompt), budget: budget)
    let read = advance(
      zip(reading, counts).map { Turn(sequence: $0, count: $1) },
      isDecode: false
    )
    let going = left(of: reading, after: read)
    reading = going.filter { $0.unreadPromptCount > 0 }
    writing += going.filter { $0.unreadPromptCount == 0 }
    writing.sort { $0.number < $1.number }
    if isIdle { runtime.releaseUnusedMemory() }
    return written + read
  }

  /// Those of some requests that go on after what happened.
  private func left(
    of sequences: [GeneratingSequence],
    after events: [GenerationEvent]
  ) -> [GeneratingSequence] {
    let failed = Set(events.compactMap(\.failedRequest))
    return sequences.filter { $0.finishReason == nil && !failed.contains($0.number) }
  }

  /// One step of some requests together, or of each alone where that fails.
  private func advance(_ turns: [Turn], isDecode: Bool) -> [GenerationEvent] {
    guard !turns.isEmpty else { return [] }
    do {
      return events(of: turns.map(\.sequence), try run(turns, isDecode: isDecode))
    } catch {
      // The session has gone on already; the same step again needs a new one.
      if isDecode { decoding = nil }
      for turn in turns { turn.sequence.state.restore() }
      guard turns.count == 1 else {
        return turns.flatMap { advance([$0], isDecode: isDecode) }
      }
      let known = error as? ReFTError ?? ReFTError(.internalFault, "\(error)", cause: error)
      // A plugin that gets numbers that are none cannot make any of them.
      let fault = known.code == .misbehaved ? weightFault : nil
      return [.failed(request: turns[0].sequence.number, fault ?? known)]
    }
  }

  /// What the model says of some requests' next tokens.
  private enum Outcome {
    /// The logits of each, one after the other.
    case logits(UnsafeMutableBufferPointer<Float>)
    case likeliest([LikeliestToken])
  }

  /// Runs the model over the tokens of some requests; on an error their caches are as they were, and
  /// what plugins keep of them can be restored.
  private func run(_ turns: [Turn], isDecode: Bool) throws -> Outcome {
    let start = ContinuousClock.now
    var offset = 0
    var sequences: [SequenceStep] = []
    var edits: [SequenceEdit] = []
    for turn in turns {
      let (sequence, count) = (turn.sequence, turn.count)
      try sequence.readSource()
      edits.append(sequence.edit(at: offset, count: count))
      sequences.append(
        SequenceStep(cache: try sequence.keysAndValues(), tokens: sequence.nextTokens(count))
      )
      offset += count
    }
    for turn in turns { turn.sequence.state.save() }
    let session = try self.session(of: turns.map(\.sequence), edits, isDecode: isDecode)
    let editor = session.flatMap { $0.isEmpty ? nil : $0 }
    let outcome: Outcome
    if turns.allSatisfy(\.sequence.takesLikeliest),
      let tokens = try runtime.likeliestTokens(sequences: sequences, editor: editor)
    {
      outcome = .likeliest(tokens)
    } else {
      outcome = .logits(try runtime.step(sequences: sequences, editor: editor))
    }
    if !isDecode {
      let seconds = (ContinuousClock.now - start).seconds
      for turn in turns { turn.sequence.notePrompt(seconds: seconds) }
    }
    return outcome
  }

  /// The edits of a step; those of the last one go on where the same texts do.
  private func session(
    of group: [GeneratingSequence],
    _ edits: [SequenceEdit],
    isDecode: Bool
  ) throws(ReFTError) -> EditSession? {
    guard isDecode else {
      return edits.contains { !$0.adapters.isEmpty } ? try EditSession(edits, trace: trace) : nil
    }
    let requests = group.map(\.number)
    if let decoding, decoding.requests == requests {
      decoding.session?.advance()
      return decoding.session
    }
    let session =
      edits.contains { !$0.adapters.isEmpty } ? try EditSession(edits, trace: trace) : nil
    decoding = (requests, session)
    return session
  }

  /// Chooses the next token of the request at a place of a step, and returns the text that it lets be
  /// shown.
  private func advance(
    _ sequence: GeneratingSequence,
    at index: Int,
    _ outcome: Outcome
  ) throws(ReFTError) -> String {
    switch outcome {
    case .likeliest(let tokens): return try sequence.advance(likeliest: tokens[index])
    case .logits(let logits):
      let width = model.configuration.vocabularySize
      let row = UnsafeMutableBufferPointer(
        rebasing: logits[(index * width)..<((index + 1) * width)]
      )
      return try sequence.advance(logits: row)
    }
  }

  /// Chooses the next token of each request whose prompt has been read; one whose logits are no
  /// numbers fails.
  private func events(of group: [GeneratingSequence], _ outcome: Outcome) -> [GenerationEvent] {
    var events: [GenerationEvent] = []
    for (index, sequence) in group.enumerated() where sequence.unreadPromptCount == 0 {
      do throws(ReFTError) {
        let text = try advance(sequence, at: index, outcome)
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

extension GeneratingSequence {
  fileprivate var prompt: PromptPieces.Prompt {
    PromptPieces.Prompt(unread: unreadPromptCount, isWhole: needsWholePrompt)
  }
}

extension GenerationEvent {
  /// The request that failed, if this tells of one.
  fileprivate var failedRequest: Int? {
    if case .failed(let number, _) = self { number } else { nil }
  }
}
