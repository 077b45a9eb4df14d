// SPDX-License-Identifier: Apache-2.0
// Generation with adapters: which tokens feel the edit, and that neighbours do not.

import Foundation
import ReFTGeneration
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText
import Testing
import _ReFTTestSupport

@Suite struct EditedGenerationTests {
  /// An adapter that pushes the last block's output hard, at the positions of a rule: LoReFT with
  /// a large bias adds nearly the same vector everywhere.
  private func steering(
    _ rule: String,
    _ model: LoadedModel,
    subspaces: String = ""
  ) throws -> Adapter {
    let spec = InterventionSpec(
      plugin: "loreft",
      layers: [model.configuration.layers - 1],
      positions: try PositionRule(rule),
      options: ["rank": .int(4), "subspaces": .string(subspaces)]
    )
    let adapter = try Adapter.create(
      specs: [spec],
      model: model,
      catalog: BuiltPlugins.catalog(),
      seed: 1
    )
    let name = "interventions.0.layers.\(model.configuration.layers - 1).source.bias"
    let bias = adapter.parameters.tensor(try #require(adapter.parameters.index(of: name)))
    for (index, value) in [300, -200, 400, 100].enumerated() { bias[index] = Float(value) }
    return adapter
  }

  @Test("edits the prompt, the generated tokens, or both, as the rule says")
  func editsWhatTheRuleSays() throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      let generator = TextGenerator(model: model)
      func ids(_ rule: String?) throws -> [Int32] {
        var request = GenerationRequest(.text("the man in a"), maxTokens: 8, ignoresEnd: true)
        if let rule { request.adapter = try steering(rule, model) }
        return try generator.generate([request])[0].ids
      }
      let plain = try ids(nil)
      let prompt = try ids("l1")
      let decode = try ids("none+decode")
      let both = try ids("l1+decode")
      // The edit is in the last block, so it moves only the token that follows the edited one.
      #expect(prompt[0] != plain[0])
      #expect(decode[0] == plain[0] && decode[1] != plain[1])
      #expect(both[0] == prompt[0] && both[1] != prompt[1])
      // The vector outweighs everything else: wherever it is added, one token wins.
      #expect(Set(both).count == 1 && Set(decode.dropFirst()) == Set(both))
      #expect(try ids("f1") == plain, "an edit of the first token cannot reach the output")
    }
  }

  @Test("edits each text of a batch in the subspace that its request names")
  func subspaces() throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      let generator = TextGenerator(model: model)
      let adapter = try steering("l1+decode", model, subspaces: "0-1;2-3")
      let requests = ([nil, 0, 1, 0] as [Int32?]).map { subspace in
        var request = GenerationRequest(.text("the man in a"), maxTokens: 4, ignoresEnd: true)
        (request.adapter, request.subspace) = (adapter, subspace)
        return request
      }
      let alone = try requests.map { try generator.generate([$0])[0].ids }
      #expect(try generator.generate(requests, batchSize: 4).map(\.ids) == alone)
      #expect(alone[1] == alone[3] && Set(alone).count > 1)
      var unlisted = requests[0]
      unlisted.subspace = 2
      let error = #expect(throws: ReFTError.self) { try generator.generate([unlisted]) }
      #expect(error?.message.contains("'subspaces' does not list") == true)
    }
  }

  private func interchange(
    _ model: LoadedModel,
    _ rule: String = "l1",
    _ options: [String: OptionValue] = [:]
  ) throws -> Adapter {
    let spec = InterventionSpec(
      plugin: "interchange",
      layers: [model.configuration.layers - 1],
      positions: try PositionRule(rule),
      options: options
    )
    return try Adapter.create(specs: [spec], model: model, catalog: BuiltPlugins.catalog(), seed: 1)
  }

  @Test("puts the rows of a source prompt in place of the prompt's")
  func interchanges() throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      let generator = TextGenerator(model: model)
      let texts = ["the man in a", "on the or", "and the the of a in the"]
      let adapter = try interchange(model)
      let none = try interchange(model, "l1", ["dimensions": .string("5")])
      func request(_ text: String, _ source: String?, _ adapter: Adapter?) -> GenerationRequest {
        var request = GenerationRequest(.text(text), maxTokens: 3, ignoresEnd: true)
        (request.adapter, request.sourcePrompt) = (adapter, source.map { .text($0) })
        return request
      }
      // The last row of the last block decides on the first token, and on it alone.
      let plain = try generator.generate(texts.map { request($0, nil, nil) })
      let requests = texts.indices.map { request(texts[$0], texts[($0 + 1) % 3], adapter) }
      let swapped = try generator.generate(requests, batchSize: 3)
      for index in texts.indices {
        #expect(swapped[index].ids[0] == plain[(index + 1) % 3].ids[0])
      }
      #expect(Set(plain.map { $0.ids[0] }).count > 1)
      let other = try generator.generate([request(texts[0], texts[1], none)])
      #expect(other[0].ids == plain[0].ids || other[0].ids != swapped[0].ids)

      let missing = #expect(throws: ReFTError.self) {
        try generator.generate([request(texts[0], nil, adapter)])
      }
      #expect(missing?.message.contains("--source-prompt") == true)
      let every = try interchange(model, "all")
      let unequal = #expect(throws: ReFTError.self) {
        try generator.generate([request(texts[0], texts[2], every)])
      }
      #expect(unequal?.code == .usage)
      #expect(unequal?.message.contains("of the prompt and") == true)
      let decoded = #expect(throws: ReFTError.self) { try interchange(model, "l1+decode") }
      #expect(decoded?.message.contains("leave '+decode' out") == true)
    }
  }

  @Test("serves requests with different adapters in one batch as each alone")
  func mixesAdapters() throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      let generator = TextGenerator(model: model)
      let adapters = [nil, try steering("l1", model), try steering("all+decode", model)]
      let requests = (0..<6).map { index in
        GenerationRequest(
          .text(["the", "a man", "in on of"][index % 3]),
          maxTokens: 4 + index,
          sampling: SamplingOptions(temperature: 0.8, seed: UInt64(index)),
          adapter: adapters[index / 2],
          ignoresEnd: true
        )
      }
      let alone = try requests.map { try generator.generate([$0])[0].ids }
      for size in [2, 4, 6] {
        #expect(try generator.generate(requests, batchSize: size).map(\.ids) == alone)
      }
    }
  }

  @Test("serves lists of adapters with strengths in one batch as each alone")
  func mixesLists() throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      let generator = TextGenerator(model: model)
      let (one, two) = (try steering("l1", model), try steering("all+decode", model))
      let lists = [
        AdapterStack([.init(one), .init(two, strength: 0.1)]),
        AdapterStack([.init(one, strength: 0), .init(two, strength: 0)]),
        AdapterStack([.init(two, strength: -0.2), .init(one, strength: 0.5)], rule: .sequential),
        AdapterStack(),
      ]
      let requests = lists.enumerated().map { index, list in
        GenerationRequest(
          .text("a man in"),
          maxTokens: 5 + index,
          adapters: list,
          ignoresEnd: true
        )
      }
      let alone = try requests.map { try generator.generate([$0])[0].ids }
      #expect(alone[1] == Array(alone[3].prefix(6)), "strength 0 is the frozen model")
      #expect(alone[0][0] != alone[3][0])
      for size in [2, 4] {
        #expect(try generator.generate(requests, batchSize: size).map(\.ids) == alone)
      }
    }
  }

  @Test("traces prompts and generated tokens, and changes no text by it")
  func traces() throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      let generator = TextGenerator(model: model)
      let adapter = try steering("f1+l1+decode", model)
      let requests = ["the man in", "a man"].map {
        GenerationRequest(.text($0), maxTokens: 4, adapter: adapter, ignoresEnd: true)
      }
      let trace = EditTrace()
      let results = try generator.generate(requests, batchSize: 2, trace: trace)
      #expect(try results.map(\.ids) == generator.generate(requests, batchSize: 2).map(\.ids))
      let site = Site(block: model.configuration.layers - 1, component: .blockOutput)
      for (number, result) in results.enumerated() {
        let length = result.promptIds.count
        let changes = trace.sorted.filter { $0.sequence == number }
        // The last generated token is read by nobody.
        #expect(changes.map(\.position) == [0, length - 1] + (length..<length + 3))
        #expect(changes.allSatisfy { $0.site == site && $0.change > 100 })
      }
    }
  }

  @Test("refuses positions that a prompt does not have before it starts")
  func refusesPositions() throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      var request = GenerationRequest(.text("a"), maxTokens: 4)
      request.adapter = try steering("[7]", model)
      let error = try #require(throws: ReFTError.self) {
        try TextGenerator(model: model).generate([request, request])
      }
      #expect(error.code == .usage && error.message.hasPrefix("request 0: "))
    }
  }
}
