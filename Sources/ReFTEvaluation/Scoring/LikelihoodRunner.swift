// SPDX-License-Identifier: Apache-2.0
// Log-likelihoods of what follows a prompt, many at once: the options of one row share their prompt in a
// pass of their own where that is cheaper than a place in a common one.

import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTTraining

/// What follows a prompt, as tokens.
struct Continuation {
  /// The prompt and what follows, without the last token, whose output nobody reads.
  var ids: [Int32]
  /// The tokens that follow.
  var labels: [Int32]
  /// How many tokens the prompt has.
  var promptLength: Int
  /// How many tokens position rules speak of.
  var editedLength: Int
  /// What edits the hidden states.
  var adapters: AdapterStack

  /// Describes one of the tokens of prompt and continuation together.
  ///
  /// - Parameters:
  ///   - prompt: the prompt, at least one token.
  ///   - labels: what follows, at least one token.
  ///   - isPromptAll: whether positions speak of the whole, as in running text.
  ///   - adapters: what edits the hidden states.
  init(prompt: [Int32], labels: [Int32], isPromptAll: Bool = false, adapters: AdapterStack) {
    ids = prompt + labels.dropLast()
    self.labels = labels
    promptLength = prompt.count
    editedLength = isPromptAll ? ids.count : prompt.count
    self.adapters = adapters
  }
}

/// Runs passes that give log-likelihoods.
final class LikelihoodRunner {
  private let runtime: LazyRuntime
  private let budget: Int

  /// A pass of its own costs as much as so many rows more: the processor expands weights once for
  /// each, and a card has room for thousands of rows at once.
  private let passCost: Int

  init(
    _ model: FrozenModel,
    device: any ComputeDevice,
    budget: Int,
    precision: DecodePrecision
  ) {
    runtime = LazyRuntime(device, model, precision: precision)
    self.budget = budget
    passCost = device is ProcessorDevice ? 48 : 4096
  }

  /// The log-likelihood of each continuation, in nats, summed over its tokens.
  ///
  /// - Parameter groups: continuations; those of one group begin alike.
  /// - Returns: a list for each group.
  /// - Throws: what the model or a plugin throws.
  func logLikelihoods(_ groups: [[Continuation]]) throws -> [[Double]] {
    var results = groups.map { [Double](repeating: 0, count: $0.count) }
    for pass in passes(groups) {
      let sums = try run(pass.map { groups[$0.group][$0.item] })
      for (place, sum) in zip(pass, sums) { results[place.group][place.item] = sum }
    }
    return results
  }

  /// Where a continuation stands.
  private struct Place {
    var group: Int
    var item: Int
  }

  /// Which continuations go together.
  private func passes(_ groups: [[Continuation]]) -> [[Place]] {
    let common = Self.shared(groups.flatMap { $0 })
    var passes: [[Place]] = []
    var together: [Place] = []
    for (index, group) in groups.enumerated() {
      let places = group.indices.map { Place(group: index, item: $0) }
      let total = group.reduce(0) { $0 + $1.ids.count }
      let shared = Self.shared(group)
      let alone = total - shared * (group.count - 1) + passCost
      if alone < total - common * group.count, alone <= budget {
        passes.append(places)
      } else {
        together += places
      }
    }
    let lengths = together.map { groups[$0.group][$0.item].ids.count - common }
    for indices in MicroBatches.split(lengths: lengths, budget: budget) {
      passes.append(indices.map { together[$0] })
    }
    return passes
  }

  /// How many tokens some continuations begin with alike, before any of them is read for its output.
  private static func shared(_ items: [Continuation]) -> Int {
    guard let first = items.first, items.count > 1 else { return 0 }
    let limit = items.reduce(Int.max) { min($0, $1.promptLength - 1) }
    var count = 0
    while count < limit, items.allSatisfy({ $0.ids[count] == first.ids[count] }) { count += 1 }
    return count < 8 ? 0 : count
  }

  private func run(_ items: [Continuation]) throws -> [Double] {
    var batch = PackedBatch()
    var edits: [SequenceEdit] = []
    for item in items {
      let start = batch.tokens.count
      edits.append(
        SequenceEdit(
          adapters: item.adapters,
          start: start,
          count: item.ids.count,
          promptLength: item.editedLength,
          promptTokens: item.ids.prefix(item.editedLength)
        )
      )
      batch.append(ids: item.ids)
      let first = start + item.promptLength - 1
      batch.labelTokens += item.labels.indices.map { Int32(first + $0) }
      batch.labels += item.labels
    }
    let session = try EditSession(edits)
    let losses = try runtime.get().loss(
      batch,
      editor: session.isEmpty ? nil : session,
      from: nil
    )
    var rest = losses[...]
    return items.map { item in
      let own = rest.prefix(item.labels.count)
      rest = rest.dropFirst(item.labels.count)
      return -own.reduce(0.0) { $0 + Double($1) }
    }
  }
}
