// SPDX-License-Identifier: Apache-2.0
// Tasks asked of a model on a card against the same rows on the processor: `reft eval --device cuda`.

import Foundation
import ReFTCUDA
import ReFTEvaluation
import ReFTHost
import ReFTModel
import Testing
import _ReFTTestSupport

@Suite("An evaluation on a card")
struct CardEvaluationTests {
  private static let choice = """
    task: t
    data: {file: rows.jsonl}
    prompt: "the {q} of"
    choice: {options: [the man, in, on a], answer: "{a}"}
    """
  private static let generation = """
    task: t
    data: {file: rows.jsonl}
    prompt: "the {q} of"
    generate: {max_tokens: 6, answer: "{a}", normalise: text}
    """
  private static let rows = """
    {"q": "man in the house on the hill and the sea", "a": "in"}
    {"q": "sea", "a": "on a"}
    {"q": "house", "a": "the man"}
    """

  /// The frozen model, and an adapter that changes what it says.
  private func contenders(_ model: LoadedModel) throws -> [Contender] {
    let adapter = try Adapter.create(
      specs: [InterventionSpec(plugin: "loreft", layers: [0, 1], positions: PositionRule("all"))],
      model: model,
      catalog: BuiltPlugins.catalog(),
      seed: 5
    )
    for (index, info) in adapter.parameters.infos.enumerated() where info.shape.count == 1 {
      let values = adapter.parameters.tensor(index)
      for place in values.indices { values[place] += 1 + Float(place % 5) }
    }
    return [.frozen, Contender(name: "edited", adapters: AdapterStack(adapter))]
  }

  /// What becomes of each row of a task, contender by contender, and the measures.
  private func ask(
    _ yaml: String,
    in folder: String,
    _ device: any ComputeDevice
  ) throws -> (outcomes: [RowOutcome], results: [TaskResult]) {
    let model = try LoadedModel(path: TinyModel().write(in: folder))
    let path = folder + "/task.yaml"
    try yaml.write(toFile: path, atomically: true, encoding: .utf8)
    try Self.rows.write(toFile: folder + "/rows.jsonl", atomically: true, encoding: .utf8)
    var options = TaskEvaluator.Options()
    options.precision = .float32
    let contenders = try contenders(model)
    let evaluator = TaskEvaluator(
      model: model,
      contenders: contenders,
      device: device,
      options: options
    )
    let store = try OutcomeStore(folder: folder + "/out", facts: [:], resumes: false)
    let results = try evaluator.evaluate(TaskFile(path), store: store)
    let outcomes = try contenders.flatMap { contender in
      let file = "\(folder)/out/outputs-t-\(contender.name).jsonl"
      return try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n").map {
        try JSONDecoder().decode(RowOutcome.self, from: Data($0.utf8))
      }
    }
    return (outcomes, results)
  }

  @Test(
    "gives the processor's log-likelihoods, replies and measures",
    arguments: [choice, generation]
  )
  func agrees(yaml: String) throws {
    let here = try withTemporaryDirectory { try ask(yaml, in: $0, ProcessorDevice.shared) }
    let launches = try EmulatedCard.calls("cuLaunchKernel")
    let card = CUDAComputeDevice(try EmulatedCard.open())
    let there = try withTemporaryDirectory { try ask(yaml, in: $0, card) }
    #expect(try EmulatedCard.calls("cuLaunchKernel") > launches)
    #expect(here.outcomes.count == 6 && there.outcomes.count == 6)
    for (one, other) in zip(here.outcomes, there.outcomes) {
      #expect(one.reply == other.reply && one.scores == other.scores)
      for (a, b) in zip(one.logLikelihoods ?? [], other.logLikelihoods ?? []) {
        #expect(abs(a - b) < 1e-3, "\(a) and \(b)")
      }
    }
    #expect(here.results.map(\.value) == there.results.map(\.value))
    // The adapter says something else, so that its edits are seen to be done on the card.
    let (frozen, edited) = (there.outcomes.prefix(3), there.outcomes.suffix(3))
    #expect(
      frozen.map(\.logLikelihoods) != edited.map(\.logLikelihoods)
        || frozen.map(\.reply) != edited.map(\.reply)
    )
  }
}
