// SPDX-License-Identifier: Apache-2.0
// What a text is to be generated from, how, and how far.

public import ReFTHost
import ReFTModel
public import ReFTTensor
public import ReFTText

/// One text to generate.
public struct GenerationRequest: Sendable {
  /// What the model reads before it writes.
  public typealias Prompt = ReFTText.Prompt

  /// What the model reads.
  public var prompt: Prompt
  /// How many tokens are generated at most; at least 1.
  public var maxTokens: Int
  /// How tokens are drawn.
  public var sampling: SamplingOptions
  /// Texts that end the generation; they and what follows are no part of the result.
  public var stop: [String]
  /// The adapters that edit the hidden states; none leave the model alone.
  public var adapters: AdapterStack
  /// A prompt whose hidden states plugins of the adapters take; nil: none.
  public var sourcePrompt: Prompt?
  /// Which subspace plugins that know several edit the text in; nil: all of them.
  public var subspace: Int32?
  /// Whether tokens that end a reply are passed over, so that `maxTokens` come out in any case.
  public var ignoresEnd: Bool
  /// The adapter, where there is one alone.
  public var adapter: Adapter? {
    get { adapters.only }
    set { adapters = AdapterStack(newValue) }
  }

  /// Describes a text to generate; greedy unless `sampling` says otherwise.
  public init(
    _ prompt: Prompt,
    maxTokens: Int = 256,
    sampling: SamplingOptions = SamplingOptions(),
    stop: [String] = [],
    adapter: Adapter? = nil,
    ignoresEnd: Bool = false
  ) {
    self.init(
      prompt,
      maxTokens: maxTokens,
      sampling: sampling,
      stop: stop,
      adapters: AdapterStack(adapter),
      ignoresEnd: ignoresEnd
    )
  }

  /// Describes a text to generate under several adapters.
  public init(
    _ prompt: Prompt,
    maxTokens: Int = 256,
    sampling: SamplingOptions = SamplingOptions(),
    stop: [String] = [],
    adapters: AdapterStack,
    ignoresEnd: Bool = false
  ) {
    self.prompt = prompt
    self.maxTokens = maxTokens
    self.sampling = sampling
    self.stop = stop
    self.adapters = adapters
    self.ignoresEnd = ignoresEnd
  }

  /// The prompt as token ids of a model; instructions are worded as those that the adapter learnt from.
  ///
  /// - Throws: `usage` for a chat with a model that has no chat template, `badData` where the
  ///   template refuses the messages.
  public func promptIds(for model: LoadedModel) throws(ReFTError) -> [Int32] {
    var usual = Template.none
    if case .instruction = prompt, let text = try adapters.template() { usual = try Template(text) }
    return try PromptEncoder(model.text, usual: usual).ids(of: prompt)
  }

  /// The tokens of the source prompt; nil where there is none.
  func sourceIds(for model: LoadedModel) throws(ReFTError) -> [Int32]? {
    guard let sourcePrompt else { return nil }
    var copy = self
    copy.prompt = sourcePrompt
    return try copy.promptIds(for: model)
  }

  /// Checks what is asked for beside the prompt.
  ///
  /// - Throws: `usage` naming what cannot be.
  public func checkOptions() throws(ReFTError) {
    try sampling.validate()
    guard maxTokens >= 1 else { throw .tooFewTokens(maxTokens) }
    guard !stop.contains("") else { throw .emptyStopText() }
  }

  /// Checks the request and returns the prompt's ids.
  func checkedPromptIds(for model: LoadedModel) throws(ReFTError) -> [Int32] {
    try checkOptions()
    let ids = try promptIds(for: model)
    guard !ids.isEmpty else { throw .emptyPrompt() }
    let size = model.configuration.vocabularySize
    if let index = ids.firstIndex(where: { $0 < 0 || $0 >= size }) {
      throw .promptTokenOutOfRange(ids[index], index: index, vocabularySize: size)
    }
    let context = model.configuration.contextLength
    guard ids.count <= context, maxTokens <= context - ids.count else {
      throw .contextExceeded(prompt: ids.count, maxTokens: maxTokens, contextLength: context)
    }
    for spec in adapters.specs {
      _ = try spec.positions.rows(
        promptLength: ids.count,
        tokens: ids[...],
        tokenizer: model.tokenizer
      )
    }
    try adapters.checkCounterpart(ids[...], source: sourceIds(for: model))
    return ids
  }
}
