// SPDX-License-Identifier: Apache-2.0
// The replies of a report: what models say to held-out prompts, alone and with the adapters of runs.

import Foundation
import ReFTGeneration
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText
import ReFTTraining

/// Generates the replies of a report.
struct ReportReplies {
  /// A file, or a number of rows of the first run's data.
  let prompts: String
  let maxTokens: Int
  let catalog: PluginCatalog
  let device: any ComputeDevice

  /// How many replies are written at once.
  private static let batchSize = 8

  /// The replies of all finished runs that write text; one model is open at a time.
  func replies(of runs: [RunRecord]) throws -> [ReportPage.Reply] {
    let able = runs.filter { $0.manifest.isFinished && $0["head.task"] == nil }
    for run in runs where !able.contains(where: { $0.name == run.name }) {
      Output.note("note: '\(run.name)' gives no replies: it is not finished, or trains a head")
    }
    guard let first = able.first else { return [] }
    let file = try source(first)
    var replies: [ReportPage.Reply] = []
    let models = able.reduce(into: [String]()) { models, run in
      let path = run["model"] ?? ""
      if !models.contains(path) { models.append(path) }
    }
    for name in models {
      let own = able.filter { $0["model"] == name }
      replies += try self.replies(own, of: name, file: file, tellsModel: models.count > 1)
    }
    return replies
  }

  /// The file with the prompts, and how many of them are taken.
  private func source(_ run: RunRecord) throws -> (path: String, count: Int?) {
    guard let count = Int(prompts) else { return (prompts, nil) }
    guard let data = run.manifest.data else {
      throw ReFTError(
        .inputMissing,
        "'\(run.folder)' does not say what it learnt from; name a file with --prompts"
      )
    }
    return ((data.validation ?? data.train).path, count)
  }

  private func replies(
    _ runs: [RunRecord],
    of name: String,
    file: (path: String, count: Int?),
    tellsModel: Bool
  ) throws -> [ReportPage.Reply] {
    let generator = TextGenerator(
      model: try LoadedModel(path: ModelLibrary().resolve(name)),
      device: device
    )
    let template = runs.lazy.compactMap { $0["data.template"] }.first
    let words = PromptEncoder(generator.model.text, usual: try Template(template ?? "none"))
    let all = try PromptFile.read(path: file.path, words: words) { Output.note("warning: \($0)") }
    let asked = Array(all.prefix(file.count ?? all.count))
    let before = try texts(asked, nil, generator, "the model alone")
    var after: [[(run: String, text: String)]] = asked.map { _ in [] }
    for run in runs {
      let adapter = try Adapter.load(
        path: run.folder + "/adapter",
        model: generator.model,
        catalog: catalog
      )
      for warning in adapter.warnings { Output.note("warning: \(warning)") }
      for (index, text) in try texts(asked, adapter, generator, run.name).enumerated() {
        after[index].append((run.name, text))
      }
    }
    return try asked.indices.map { index in
      let request = GenerationRequest(asked[index].prompt)
      let prompt = generator.model.tokenizer.decode(try request.promptIds(for: generator.model))
      return ReportPage.Reply(
        prompt: (tellsModel ? "[\(generator.model.configuration.name)] " : "") + prompt,
        before: before[index],
        after: after[index]
      )
    }
  }

  private func texts(
    _ prompts: [PromptFile.Row],
    _ adapter: Adapter?,
    _ generator: TextGenerator,
    _ name: String
  ) throws -> [String] {
    let line = ProgressLine()
    defer { line.clear() }
    let clock = RateClock(total: prompts.count)
    var done = 0
    let requests = prompts.map { row in
      var request = GenerationRequest(row.prompt, maxTokens: maxTokens, adapter: adapter)
      request.subspace = row.subspace
      return request
    }
    return try generator.generate(requests, batchSize: Self.batchSize) { event in
      if case .finished = event { done += 1 }
      var fields = clock.fields(done: done, unit: "replies")
      fields.fields.append(.init(text: name, rank: 4))
      line.show(fields)
    }.map(\.text)
  }
}
