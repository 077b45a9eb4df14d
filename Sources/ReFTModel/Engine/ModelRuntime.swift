// SPDX-License-Identifier: Apache-2.0
// The one driver of a model's blocks: training, block inputs, scoring, generation and benchmarks come
// here and nowhere else. What a pass returns is in ModelRuntime+Training and ModelRuntime+Inference.

import CReFTKernels
public import ReFTTensor

/// Runs batches through one model, with memory of its own that it reuses.
///
/// The model is compiled into a list of steps for the sites that an editor wants; a backward pass goes
/// back through the same steps. Not thread-safe; it uses the pool's threads by itself. A label's loss
/// and a sequence's logits have the same bits whatever other sequences are in the batch and however
/// many threads there are.
public final class ModelRuntime {
  /// What a runtime can do, for those who choose among several.
  public struct Capabilities: Sendable, Equatable {
    /// Whether gradients of hidden states can be computed.
    public var differentiates: Bool
    /// Where the arithmetic is done.
    public var device: String

    /// Describes a runtime.
    package init(differentiates: Bool, device: String) {
      (self.differentiates, self.device) = (differentiates, device)
    }
  }

  /// The model.
  public let model: FrozenModel
  /// Where the caches of this runtime's sequences get their memory.
  public let cachePages: CachePages
  let pass: Pass
  /// Nil where the model predicts no tokens.
  let lossHead: LossHead?
  /// The final stream of the rows that meet the head, normed, and gradients of these.
  var finalRows = GrowingBuffer()
  var finalNormed = GrowingBuffer()
  var finalGradients = GrowingBuffer()
  var logits = GrowingBuffer()
  /// The largest passes for which there was room.
  var largest = LargestPasses()
  private var programs: [Program] = []

  /// How many programs are kept: one for each way in which the same sites are used, and some more.
  private static let keptPrograms = 8

  /// Prepares passes through a model.
  ///
  /// - Parameters:
  ///   - model: the model; kept alive by the runtime.
  ///   - precision: of the activations of decoded tokens.
  ///   - pool: the threads that do the work.
  public init(
    model: FrozenModel,
    precision: DecodePrecision = .int16,
    pool: ThreadPool = .shared
  ) {
    self.model = model
    cachePages = CachePages(model: model, format: precision.cache)
    let pass = Pass(model, pool: pool, decodePrecision: precision)
    let isExact = precision.isExact
    lossHead = (try? model.languageHead()).map {
      LossHead(model: model, head: $0, pass: pass, isExact: isExact)
    }
    self.pass = pass
  }

  /// What this runtime can do.
  public var capabilities: Capabilities { Capabilities(differentiates: true, device: "cpu") }

  /// Where the time of some passes goes.
  ///
  /// - Throws: what `body` throws.
  package func profile(_ body: () throws -> Void) rethrows -> WorkProfile {
    defer { pass.clock = nil }
    return try WorkProfile { clock in
      pass.clock = clock
      try body()
    }
  }

  /// The model's steps for some sites.
  func program(_ sites: Set<Site>, narrows: Bool) -> Program {
    let key = Program.Key(sites: sites, narrows: narrows)
    if let index = programs.firstIndex(where: { $0.key == key }) { return programs[index] }
    if programs.count >= Self.keptPrograms { programs.removeFirst() }
    let program = Program(model, key)
    programs.append(program)
    return program
  }

  // MARK: Driving

  /// Runs steps forward.
  ///
  /// Work on rows is done at once, or left to whoever reads the rows.
  ///
  /// - Throws: what an editor throws.
  func forward(_ steps: ArraySlice<any Step>) throws {
    var pending: RowWork?
    for index in steps.indices {
      let step = steps[index]
      pending = try step.forward(pass, after: pending)
      if index + 1 < steps.endIndex, steps[index + 1].makesRows(pass) { continue }
      pass.settle(pending, inTail: step.inTail, step.kind)
      pending = nil
    }
  }

  /// Runs steps backward, until every tap and every updated product among them has been visited.
  ///
  /// - Throws: what an editor throws.
  func backward(_ steps: ArraySlice<any Step>) throws {
    pass.goalsLeft = steps.count { $0.isGoal(pass) }
    for step in steps.reversed() {
      if pass.goalsLeft == 0 { return }
      try step.backward(pass)
    }
  }

  /// Expands the embeddings of the layout's rows into the stream entering the first block.
  func embed() {
    let d = model.configuration.hiddenSize
    let (ids, positions, types) = (pass.layout.ids, pass.layout.positions, pass.layout.types)
    let (embedding, scale) = (model.embedding, model.plan.embedding.scale)
    let (norm, typeRows) = (embedding.norm?.rows, embedding.types?.base)
    let firstPosition = model.plan.embedding.positions?.first ?? 0
    let out = pass.stream(0)
    pass.rows(pass.layout.rowCount) { row in
      let target = out + row * d
      embedding.weight.expand(row: Int(ids[row]), column: 0, count: d, into: target)
      if scale != 1 { reft_scale_f32(d, scale, target) }
      if let table = embedding.positions {
        let own = ThreadScratch.floats(d, .unpackedRows)
        table.expand(row: firstPosition + Int(positions[row]), column: 0, count: d, into: own)
        reft_axpy_f32(d, 1, own, target)
      }
      if let typeRows {
        let type = types.isEmpty ? 0 : Int(types[row])
        reft_axpy_f32(d, 1, typeRows + type * d, target)
      }
      norm?.apply(target, target)
    }
    pass.clock?.lap(.embedding)
  }
}
