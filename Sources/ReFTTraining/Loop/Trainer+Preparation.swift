// SPDX-License-Identifier: Apache-2.0
// What a run starts from: data, adapter, folder, and the checkpoint that it goes on from.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText

extension Trainer {
  /// Reads and checks everything, so that a mistake shows before the first step; then claims the
  /// folder.
  func prepare(
    mode: Mode,
    observer: (TrainingEvent) -> Void
  ) throws -> TrainingRun {
    let options = configuration.train
    // Before hours of reading, and again once no other process can change the folder.
    try folder.checkOwnership(removesAll: mode == .overwrite)
    try checkJudge()
    var data = try TrainingData(configuration, model: model)
    let adapter = try makeAdapter(head: data.head, observer: observer)
    // Whoever uses the adapter asks as the rows did, unless told otherwise.
    let usual: Template = data.training.account.conversations > 0 ? .chat : .none
    adapter.template = (configuration.data.template ?? usual).description
    let notes = try data.check(adapter, tokenizer: model.tokenizer)
    let order = DataOrder(
      exampleCount: data.training.examples.count,
      batchSize: options.batchSize,
      seed: configuration.data.shuffles ? options.seed : nil
    )
    let totalSteps = try Self.totalSteps(options, stepsPerEpoch: order.stepsPerEpoch)
    let optimiser = AdamW(adapter.parameters, options)

    let settings = self.settings(data: data, adapter: adapter)
    let done = try claimFolder(
      mode: mode,
      settings: settings,
      adapter: adapter,
      observer: observer
    )
    var state = CheckpointState()
    if let done {
      state = done
      try checkpoints.restoreParameters(step: done.step, into: adapter.parameters)
      try checkpoints.restore(optimiser, adapter.parameters, step: done.step)
    }
    state.settings = settings
    state.kernels = kernels
    guard state.step <= totalSteps else {
      throw ReFTError.otherRun(
        folder.path,
        differences: ["it has done \(state.step) steps of now \(totalSteps)"]
      )
    }
    try AtomicFile.write(configuration.yaml(), to: folder.configuration)
    let metrics = try MetricsFile(path: folder.metrics, keepingThrough: state.step)
    let events =
      options.writesEvents && state.step < totalSteps
      ? try EventFile(folder: folder.path, after: state.step) : nil

    let room = cacheRoom(order: order, totalSteps: totalSteps, data: data)
    let cache = room.flatMap { makeCache($0, adapter: adapter, data: data) }
    let plan = TrainingPlan(
      training: data.training.account,
      validation: data.validation?.account,
      stepsPerEpoch: order.stepsPerEpoch,
      totalSteps: totalSteps,
      doneSteps: state.step,
      trainableParameters: adapter.parameters.trainableCount,
      cachedBlock: cache?.block,
      output: folder.path
    )
    let run = TrainingRun(
      plan: plan,
      data: data,
      adapter: adapter,
      order: order,
      rate: LearningRate(options, totalSteps: totalSteps),
      ownPeaks: OwnRates(configuration),
      optimiser: optimiser,
      runner: BatchRunner(
        model: model.frozen,
        adapters: AdapterStack(adapter),
        budget: try options.microBatchTokens
          ?? device.tokenBudget(
            model.frozen,
            keptFrom: adapter.frozenDepth,
            updates: adapter.lora?.spec.keptFloatsPerRow(model.configuration) ?? 0,
            precision: precision
          ),
        preference: options.preference,
        cache: cache,
        counterparts: room.map { CounterpartCache(room: cache?.room ?? $0) },
        device: device,
        precision: precision
      ),
      metrics: metrics,
      events: events,
      seed: options.seed,
      state: state
    )
    try writeManifest(run, status: "running")
    let sets = [data.training, data.validation].compactMap(\.self)
    for warning in sets.flatMap(\.warnings) + notes { observer(.warning(warning)) }
    observer(.prepared(plan))
    return run
  }

  /// Makes sure that the measure of a task that the run is judged by is one of its tasks'.
  private func checkJudge() throws(ReFTError) {
    guard let name = configuration.train.taskMetric else { return }
    let known = judge?.measures.map(\.name) ?? []
    guard !known.contains(name) else { return }
    let guess = NearestName.find(name, in: known).map { " (did you mean '\($0)'?)" } ?? ""
    throw ReFTError(
      .badConfiguration,
      "\(configuration.path): 'train.metric' is '\(name.shown())', which no task of "
        + "'train.validate' has\(guess); expected \(known.joined(separator: ", "))"
    )
  }

  private static func totalSteps(
    _ options: TrainOptions,
    stepsPerEpoch: Int
  ) throws(ReFTError) -> Int {
    if let steps = options.maxSteps { return steps }
    let (steps, overflow) = options.epochs.multipliedReportingOverflow(by: stepsPerEpoch)
    guard !overflow else {
      throw ReFTError(.badConfiguration, "'train.epochs' \(options.epochs) are too many")
    }
    return steps
  }

  // MARK: Adapter

  private func makeAdapter(
    head: HeadSpec?,
    observer: (TrainingEvent) -> Void
  ) throws(ReFTError) -> Adapter {
    var specs: [InterventionSpec] = []
    for options in configuration.interventions {
      specs.append(try options.spec(layers: model.configuration.layers))
    }
    let adapter = try Adapter.create(
      specs: specs,
      lora: configuration.lora?.spec(model.configuration),
      head: head,
      model: model,
      catalog: catalog,
      seed: configuration.train.seed
    )
    try adapter.checkTrainable()
    guard adapter.parameters.trainableCount > 0 else { throw .nothingToTrain() }
    if let path = configuration.train.initialAdapter {
      let start = try Adapter.load(path: path, model: model, catalog: catalog)
      for warning in start.warnings { observer(.warning(warning)) }
      try Self.copy(start.parameters, into: adapter.parameters, from: path)
    }
    for warning in adapter.warnings + adapter.gradientNotes { observer(.warning(warning)) }
    return adapter
  }

  private static func copy(
    _ source: ParameterStore,
    into target: ParameterStore,
    from path: String
  ) throws(ReFTError) {
    let describe = { (info: ParameterInfo) in info.shape.map(String.init).joined(separator: "x") }
    for (index, info) in target.infos.enumerated() {
      let other = source.index(of: info.name)
      guard let other, source.infos[other].shape == info.shape else {
        throw .startDoesNotFit(
          path,
          tensor: info.name,
          found: other.map { describe(source.infos[$0]) } ?? "not there",
          expected: describe(info)
        )
      }
      let (from, to) = (source.tensor(other), target.tensor(index))
      for place in to.indices { to[place] = from[place] }
    }
    if let extra = source.infos.first(where: { target.index(of: $0.name) == nil }) {
      throw .startDoesNotFit(
        path,
        tensor: extra.name,
        found: describe(extra),
        expected: "not there"
      )
    }
  }

  // MARK: Folder

  /// Takes the run folder, and reads the checkpoint to go on from.
  private func claimFolder(
    mode: Mode,
    settings: [String: String],
    adapter: Adapter,
    observer: (TrainingEvent) -> Void
  ) throws -> CheckpointState? {
    try folder.open()
    try folder.checkOwnership(removesAll: mode == .overwrite)
    let last = try checkpoints.steps().last
    switch mode {
    case .overwrite:
      if case .run = folder.claim() { try folder.clear() }
      try beginRun()
      return nil
    case .fresh:
      if case .run(let isFinished, _) = folder.claim() {
        throw isFinished
          ? ReFTError.runFinished(folder.path)
          : ReFTError.runUnfinished(folder.path, step: last ?? 0)
      }
      try beginRun()
      return nil
    case .resume, .resumeWithOtherBuilds:
      guard let last else {
        guard case .run = folder.claim() else {
          observer(.warning("'\(folder.path)' holds no run to go on with; starting anew"))
          try beginRun()
          return nil
        }
        try folder.makeCheckpoints()
        try folder.removeLeftovers()
        return nil
      }
      try folder.removeLeftovers()
      var state = try checkpoints.state(step: last)
      let build = state.settings.filter { $0.key.hasSuffix(Self.hashKey) }
      if build.contains(where: { settings[$0.key] != nil && settings[$0.key] != $0.value }) {
        try checkpoints.checkPlugins(step: last, adapter: adapter)
      }
      if mode == .resumeWithOtherBuilds {
        Self.takeOtherBuilds(&state, settings: settings, observer: observer)
      }
      let differences = Self.differences(then: state.settings, now: settings)
      guard differences.isEmpty else {
        throw ReFTError.otherRun(folder.path, differences: differences)
      }
      if let then = state.kernels, then != kernels {
        observer(
          .warning(
            "the kernels were '\(then)' up to step \(last) and are '\(kernels)' from there "
              + "on: the bits may differ from those of a run that was not interrupted"
          )
        )
      }
      return state
    }
  }

  /// Marks the folder as a run's and makes what it needs.
  private func beginRun() throws(ReFTError) {
    try folder.mark()
    try folder.makeCheckpoints()
    try folder.removeLeftovers()
  }

  /// Lets a run go on with builds of plugins that it did not begin with, and remembers the others.
  private static func takeOtherBuilds(
    _ state: inout CheckpointState,
    settings: [String: String],
    observer: (TrainingEvent) -> Void
  ) {
    for (key, hash) in settings.sorted(by: { $0.key < $1.key }) where key.hasSuffix(hashKey) {
      guard let then = state.settings[key], then != hash else { continue }
      state.settings[key] = hash
      state.earlierBuilds = (state.earlierBuilds ?? []) + [then]
      observer(
        .warning("\(key) was \(then) up to step \(state.step) and is \(hash) from there on")
      )
    }
  }

  /// What decides the result of a run, by key: changing any of it makes another run.
  private func settings(data: TrainingData, adapter: Adapter) -> [String: String] {
    var result: [String: String] = [:]
    for (key, value) in configuration.flattened() where !Self.isFree(key) { result[key] = value }
    if case .file = configuration.data.validation { result["data.validation"] = nil }
    result["model fingerprint"] = model.fingerprint
    result["data.train hash"] = data.training.hash
    if let validation = data.validation { result["data.validation hash"] = validation.hash }
    for (name, hash) in judge?.facts ?? [:] { result["train.validate \(name)"] = hash }
    for (index, plugin) in adapter.provenance.enumerated() {
      result["interventions.\(index).\(Self.hashKey)"] = plugin.hash
    }
    return result
  }

  private static let hashKey = "plugin hash"

  /// Whether a key may change while a run is interrupted; files are compared by their hashes.
  private static func isFree(_ key: String) -> Bool {
    key.hasPrefix("plugin_path") || free.contains(key)
  }

  static let free: Set = [
    "model", "output", "data.train", "train.init_adapter", "train.save_every", "train.eval_every",
    "train.keep_checkpoints", "train.result", "train.patience", "train.cache_megabytes",
    "train.micro_batch_tokens", "train.tensorboard",
  ]

  private static func differences(then: [String: String], now: [String: String]) -> [String] {
    Set(then.keys).union(now.keys).sorted().filter { then[$0] != now[$0] }.prefix(4).map {
      "\($0) was \(then[$0] ?? "not set") and is \(now[$0] ?? "not set")"
    }
  }

  // MARK: Cache

  /// Memory for caches, where something is computed more than once.
  private func cacheRoom(order: DataOrder, totalSteps: Int, data: TrainingData) -> CacheRoom? {
    let megabytes = configuration.train.cacheMegabytes
    let isRepeated =
      sharing != nil || totalSteps > order.stepsPerEpoch || data.validation != nil
    return megabytes > 0 && isRepeated ? CacheRoom(bytes: megabytes << 20) : nil
  }

  /// A cache, where something lies below the lowest edit.
  private func makeCache(
    _ room: CacheRoom,
    adapter: Adapter,
    data: TrainingData
  ) -> ActivationCache? {
    let block = min(adapter.frozenDepth, model.configuration.layers - 1)
    guard block >= 1 else { return nil }
    let make = { [model, folder] in
      ActivationCache(
        block: block,
        width: model.configuration.hiddenSize,
        room: room,
        folder: folder.path
      )
    }
    guard let sharing else { return make() }
    let megabytes = "\(configuration.train.cacheMegabytes)"
    let key = [model.fingerprint, kernels, "\(block)", megabytes, data.tokenDigest]
    return sharing.cache(for: key.joined(separator: " "), make: make)
  }
}
