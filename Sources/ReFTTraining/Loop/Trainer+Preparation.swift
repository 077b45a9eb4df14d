// SPDX-License-Identifier: Apache-2.0
// What a run starts from: data, adapter, and what runs them. `Trainer+Folder` takes the folder.

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
    // Before hours of reading, and again once no other process can change the folder.
    try folder.checkOwnership(removesAll: mode == .overwrite)
    try checkJudge()
    var data = try TrainingData(configuration, model: model)
    let adapter = try makeAdapter(head: data.head, observer: observer)
    // Whoever uses the adapter asks as the rows did, unless told otherwise.
    let usual: Template = data.training.account.conversations > 0 ? .chat : .none
    adapter.template = (configuration.data.template ?? usual).description
    let notes = try data.check(adapter, tokenizer: model.tokenizer)
    let run = try begin(data, adapter, mode: mode, observer: observer)
    try writeManifest(run, status: "running")
    let sets = [data.training, data.validation].compactMap(\.self)
    for warning in sets.flatMap(\.warnings) + notes { observer(.warning(warning)) }
    observer(.prepared(run.plan))
    return run
  }

  /// Takes the folder, and puts together what runs.
  private func begin(
    _ data: TrainingData,
    _ adapter: Adapter,
    mode: Mode,
    observer: (TrainingEvent) -> Void
  ) throws -> TrainingRun {
    let options = configuration.train
    let order = DataOrder(
      exampleCount: data.training.examples.count,
      batchSize: options.batchSize,
      seed: configuration.data.shuffles ? options.seed : nil
    )
    let totalSteps = try Self.totalSteps(options, stepsPerEpoch: order.stepsPerEpoch)
    let optimiser = AdamW(adapter.parameters, options)
    let settings = self.settings(data: data, adapter: adapter)
    let done = try claimFolder(mode: mode, settings: settings, adapter: adapter, observer: observer)
    var state = try startingState(from: done, adapter, optimiser, totalSteps: totalSteps)
    state.settings = settings
    try AtomicFile.write(configuration.yaml(), to: folder.configuration)
    let room = cacheRoom(order: order, totalSteps: totalSteps, data: data)
    let cache = room.flatMap { makeCache($0, adapter: adapter, data: data) }
    return TrainingRun(
      plan: TrainingPlan(
        training: data.training.account,
        validation: data.validation?.account,
        stepsPerEpoch: order.stepsPerEpoch,
        totalSteps: totalSteps,
        doneSteps: state.step,
        trainableParameters: adapter.parameters.trainableCount,
        cachedBlock: cache?.block,
        output: folder.path
      ),
      data: data,
      adapter: adapter,
      order: order,
      rate: LearningRate(options, totalSteps: totalSteps),
      ownPeaks: OwnRates(configuration),
      optimiser: optimiser,
      runner: try makeRunner(adapter, cache, room: room),
      metrics: try MetricsFile(path: folder.metrics, keepingThrough: state.step),
      events: try makeEvents(after: state.step, of: totalSteps),
      seed: options.seed,
      state: state
    )
  }

  /// Makes sure that the measure of a task that the run is judged by is one of its tasks'.
  func checkJudge() throws(ReFTError) {
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

  func makeAdapter(
    head: HeadSpec?,
    observer: (TrainingEvent) -> Void
  ) throws(ReFTError) -> Adapter {
    var specs: [InterventionSpec] = []
    for options in configuration.interventions {
      specs.append(try options.spec(layers: model.configuration.layers))
      try checkOptions(of: options)
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

  /// Makes sure that a plugin takes the options of its intervention.
  ///
  /// - Throws: `badConfiguration` with the place of the option; what finding the plugin throws.
  private func checkOptions(of intervention: InterventionOptions) throws(ReFTError) {
    let plugin = try catalog.find(intervention.plugin, isolation: intervention.isolation)
    for (name, value) in intervention.options.sorted(by: { $0.key < $1.key }) {
      do throws(ReFTError) {
        _ = try plugin.resolvedOptions([name: value])
      } catch {
        guard let place = intervention.optionPlaces[name] else { throw error }
        throw .option(place, isKnown: plugin.options.contains { $0.name == name }, error)
      }
    }
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

  // MARK: Passes

  /// What runs batches, each pass as large as the configuration says or the device has room for.
  private func makeRunner(
    _ adapter: Adapter,
    _ cache: ActivationCache?,
    room: CacheRoom?
  ) throws -> BatchRunner {
    let options = configuration.train
    return BatchRunner(
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
    )
  }

  /// The events for TensorBoard; nil where they are switched off, or nothing is left to do.
  private func makeEvents(after step: Int, of totalSteps: Int) throws -> EventFile? {
    guard configuration.train.writesEvents, step < totalSteps else { return nil }
    return try EventFile(folder: folder.path, after: step)
  }

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
