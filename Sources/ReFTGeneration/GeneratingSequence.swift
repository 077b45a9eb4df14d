// SPDX-License-Identifier: Apache-2.0
// One text while it is being generated.

import CReFTPlatform
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText

/// The state of one request between steps.
final class GeneratingSequence {
  let number: Int
  let request: GenerationRequest
  let promptIds: [Int32]
  /// Keys and values; nil until the first step.
  private var cache: (any SequenceCache)?
  /// What plugins keep of the text.
  let state = SequenceState()
  private let runtime: any DeviceRuntime
  private let stopIds: Set<Int32>
  private let sourceIds: [Int32]?
  private var counterpart: CounterpartRows?

  private var sampler: Sampler
  private var decoder: Tokenizer.Decoder
  private var filter: StopTextFilter
  /// The prompt and all generated tokens.
  private var history: [Int32]
  private var text = ""
  private(set) var finishReason: GenerationResult.FinishReason?

  private var promptSeconds = 0.0
  private var firstToken: ContinuousClock.Instant?
  private var lastToken: ContinuousClock.Instant?

  init(
    number: Int,
    request: GenerationRequest,
    promptIds: [Int32],
    model: LoadedModel,
    runtime: any DeviceRuntime
  ) {
    self.number = number
    self.request = request
    self.promptIds = promptIds
    self.runtime = runtime
    // Checked when the request was.
    sourceIds =
      request.adapters.needsCounterpart ? (try? request.sourceIds(for: model)) ?? nil : nil
    needsWholePrompt =
      request.adapters.parts.contains { part in
        part.adapter.units.contains { !$0.plugin.capabilities.contains(.rowwise) }
      }
    stopIds = request.ignoresEnd ? [] : model.text.stopIds
    sampler = Sampler(request.sampling)
    decoder = Tokenizer.Decoder(model.tokenizer, continuing: true)
    filter = StopTextFilter(request.stop)
    history = promptIds
  }

  /// How many tokens have been generated.
  private var count: Int { history.count - promptIds.count }

  /// How many tokens the model has read.
  private var readCount: Int { cache?.count ?? 0 }

  /// How many tokens of the prompt the model has not read yet; 0 once the text is being written.
  var unreadPromptCount: Int { max(0, promptIds.count - readCount) }

  /// Whether a plugin looks at the prompt's rows together, so that it cannot be read in pieces.
  let needsWholePrompt: Bool

  /// The next tokens that the model has not read yet: of the prompt at first, then the last one.
  func nextTokens(_ count: Int) -> [Int32] { Array(history[readCount..<readCount + count]) }

  /// The keys and values, whose memory follows the tokens.
  ///
  /// - Throws: `inputOutput` when the system has not the memory of the longest text asked for.
  func keysAndValues() throws(ReFTError) -> any SequenceCache {
    if let cache { return cache }
    let made = try runtime.makeSequenceCache(capacity: promptIds.count + request.maxTokens)
    cache = made
    return made
  }

  /// Runs the frozen model over the source prompt, once, where a plugin asks for its rows.
  ///
  /// - Throws: what the model throws.
  func readSource() throws {
    guard let sourceIds, counterpart == nil else { return }
    counterpart = try CounterpartRows.compute(
      request.adapters,
      prompts: [sourceIds],
      runtime: runtime
    ).first
  }

  /// What the edits of the next step must know, with `count` tokens at `start` of the batch.
  func edit(at start: Int, count: Int) -> SequenceEdit {
    let isEdited =
      unreadPromptCount > 0
      || request.adapters.parts.contains { part in
        part.adapter.lora != nil
          || part.adapter.specs.contains { $0.positions.editsDecodedTokens }
      }
    var edit = SequenceEdit(
      adapters: isEdited ? request.adapters : AdapterStack(),
      start: start,
      count: count,
      promptLength: promptIds.count,
      promptTokens: promptIds[...],
      position: readCount,
      key: Int64(number),
      state: state
    )
    edit.counterpart = counterpart
    edit.subspace = request.subspace
    return edit
  }

  /// Notes how long a step took that read the prompt or a piece of it.
  func notePrompt(seconds: Double) { promptSeconds += seconds }

  /// Chooses the next token and returns the text that it lets be shown.
  ///
  /// - Throws: `badData` when a logit is no finite number; the model's file may be to blame.
  func advance(logits: UnsafeMutableBufferPointer<Float>) throws(ReFTError) -> String {
    if let start = logits.baseAddress, reft_system_all_finite(start, Int64(logits.count)) == 0 {
      let value = logits.first { !$0.isFinite } ?? .nan
      throw .logitsNotFinite(
        token: history.count,
        value: value,
        hasAdapter: !request.adapters.isEmpty
      )
    }
    return append(sampler.next(logits: logits, history: history))
  }

  /// Whether the likeliest token is the next one, so that no logits are needed.
  var takesLikeliest: Bool {
    request.sampling.isGreedy && request.sampling.repetitionPenalty == 1
  }

  /// The same with the choice made where the model runs.
  ///
  /// - Throws: as `advance(logits:)`.
  func advance(likeliest: LikeliestToken) throws(ReFTError) -> String {
    guard likeliest.logit.isFinite else {
      throw .logitsNotFinite(
        token: history.count,
        value: likeliest.logit,
        hasAdapter: !request.adapters.isEmpty
      )
    }
    return append(likeliest.id)
  }

  private func append(_ id: Int32) -> String {
    history.append(id)
    lastToken = .now
    firstToken = firstToken ?? lastToken
    if stopIds.contains(id) { return finish(.stop) }
    let shown = filter.feed(decoder.feed(id))
    text += shown
    if filter.isStopped { finishReason = .stopString }
    if finishReason == nil, count == request.maxTokens { return shown + finish(.length) }
    return shown
  }

  /// Ends the text and returns what was held back.
  private func finish(_ reason: GenerationResult.FinishReason) -> String {
    let rest = filter.feed(decoder.finish()) + filter.finish()
    text += rest
    finishReason = filter.isStopped ? .stopString : reason
    return rest
  }

  /// The result, once there is a reason to finish.
  func result(_ reason: GenerationResult.FinishReason, loadSeconds: Double) -> GenerationResult {
    var seconds = 0.0
    if let firstToken, let lastToken { seconds = (lastToken - firstToken).seconds }
    return GenerationResult(
      text: text,
      ids: Array(history[promptIds.count...]),
      promptIds: promptIds,
      finishReason: reason,
      timings: GenerationResult.Timings(
        loadSeconds: loadSeconds,
        promptTokens: promptIds.count,
        promptTokensPerSecond: promptSeconds > 0 ? Double(promptIds.count) / promptSeconds : 0,
        tokens: count,
        tokensPerSecond: seconds > 0 ? Double(count - 1) / seconds : 0
      )
    )
  }
}

extension Duration {
  /// The duration in seconds.
  var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
