// SPDX-License-Identifier: Apache-2.0
// Texts from small models: how they end, that batches change nothing, and which tokens are edited.

import Foundation
import ReFTGeneration
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText
import Testing
import _ReFTTestSupport

@Suite struct TextGeneratorTests {
  private static func withModel<Result>(_ body: (LoadedModel) throws -> Result) throws -> Result {
    try withTemporaryDirectory { folder in
      try body(LoadedModel(path: TinyModel().write(in: folder)))
    }
  }

  private func requests() -> [GenerationRequest] {
    let prompts = ["the man", "a", "in the on the of", "re is an", "x y z the and"]
    return prompts.enumerated().map { index, prompt in
      var request = GenerationRequest(.text(prompt), maxTokens: 12 + index * 3, ignoresEnd: true)
      if index > 0 {
        request.sampling = SamplingOptions(
          temperature: 1,
          topK: index * 20,
          topP: 0.95,
          repetitionPenalty: 1.1,
          seed: UInt64(index)
        )
      }
      return request
    }
  }

  @Test("generates the same texts whatever the size of the batch")
  func batchesChangeNothing() throws {
    try Self.withModel { model in
      let generator = TextGenerator(model: model)
      let alone = try requests().map { try generator.generate([$0])[0] }
      for size in [1, 2, 3, 5, 50] {
        let together = try generator.generate(requests(), batchSize: size)
        #expect(together.map(\.ids) == alone.map(\.ids), "batches of \(size)")
        #expect(together.map(\.text) == alone.map(\.text))
      }
      let backwards = try generator.generate(requests().reversed(), batchSize: 2)
      #expect(backwards.reversed().map(\.ids) == alone.map(\.ids))
      #expect(Set(alone.map(\.ids)).count == 5, "the prompts lead to different texts")
    }
  }

  @Test("tells of each text as it comes, and of results once")
  func streams() throws {
    try Self.withModel { model in
      var texts: [Int: String] = [:]
      var results: [Int: GenerationResult] = [:]
      let returned = try TextGenerator(model: model).generate(requests(), batchSize: 2) { event in
        switch event {
        case .text(let number, let text):
          #expect(results[number] == nil && !text.isEmpty)
          texts[number, default: ""] += text
        case .finished(let number, let result):
          #expect(results.updateValue(result, forKey: number) == nil)
        case .failed(let number, let error): Issue.record("request \(number): \(error)")
        }
      }
      for (number, result) in returned.enumerated() {
        #expect(results[number] == result)
        #expect(texts[number] ?? "" == result.text)
        #expect(result.finishReason == .length && result.ids.count == 12 + number * 3)
        #expect(result.text == model.tokenizer.decode(result.ids, skipSpecial: true))
        #expect(result.timings.promptTokens == result.promptIds.count)
        #expect(result.timings.tokens == result.ids.count)
        #expect(result.timings.promptTokensPerSecond > 0 && result.timings.tokensPerSecond > 0)
      }
    }
  }

  @Test("ends before a stop text, and says so")
  func stopsAtText() throws {
    try Self.withModel { model in
      let generator = TextGenerator(model: model)
      var request = GenerationRequest(.text("the man"), maxTokens: 30, ignoresEnd: true)
      request.sampling = SamplingOptions(temperature: 1, seed: 9)
      let whole = try generator.generate([request])[0]
      // A text that spans tokens: from inside the sixth to inside the tenth.
      let bytes = model.tokenizer.decodeBytes(whole.ids[5..<10])
      let stop = String(
        decoding: bytes.drop { $0 & 0x80 != 0 }.prefix { $0 & 0x80 == 0 },
        as: UTF8.self
      )
      try #require(!stop.isEmpty)
      request.stop = ["never in there", stop]
      let result = try generator.generate([request])[0]
      let cut = try #require(whole.text.range(of: stop, options: .literal))
      #expect(result.finishReason == .stopString)
      #expect(result.text == String(whole.text[..<cut.lowerBound]))
      #expect(result.ids.count <= 10 && whole.ids.starts(with: result.ids))
    }
  }

  @Test("ends at a token that ends a reply, which is in the ids and not in the text")
  func stopsAtToken() throws {
    try Self.withModel { model in
      let generator = TextGenerator(model: model)
      // Of many seeds some draw an end token before the limit.
      let ended = try (0..<40).lazy.map { seed -> GenerationResult in
        var request = GenerationRequest(.text("the"), maxTokens: 60)
        request.sampling = SamplingOptions(temperature: 2, seed: UInt64(seed))
        return try generator.generate([request])[0]
      }.first { $0.finishReason == .stop }
      let result = try #require(ended)
      let last = try #require(result.ids.last)
      #expect(model.tokenizer.stopIds.contains(last))
      #expect(!result.ids.dropLast().contains { model.tokenizer.stopIds.contains($0) })
      #expect(!result.text.contains("<|"))
    }
  }

  @Test("refuses requests that cannot be, before any text is generated")
  func refuses() throws {
    try Self.withModel { model in
      let generator = TextGenerator(model: model)
      let sampling = SamplingOptions(temperature: 1, topP: 2)
      let cases: [(GenerationRequest, String)] = [
        (
          .init(.text("")),
          "the prompt has no token, and the model adds no start token of its own; give some text"
        ),
        (.init(.text("a"), maxTokens: 0), "max-tokens is 0; expected 1 or more"),
        (
          .init(.text("a"), stop: ["x", ""]),
          "a stop text is empty, which would end every text at once; leave it out"
        ),
        (
          .init(.text("a"), sampling: sampling),
          "top-p is 2.0; expected above 0 and at most 1; choose a value in this range"
        ),
        (
          .init(.ids([5, 99_999])),
          "token 1 of the prompt is 99999; expected 0 to \(TinyModel.vocabularySize - 1), the ids of the model; were these ids made for another model?"
        ),
        (
          .init(.ids([5, -1])),
          "token 1 of the prompt is -1; expected 0 to \(TinyModel.vocabularySize - 1), the ids of the model; were these ids made for another model?"
        ),
        (
          .init(.ids([5, 6, 7]), maxTokens: 510),
          "the prompt has 3 tokens and 510 more may follow, but the model's context holds 512; ask for at most 509 tokens"
        ),
        (
          .init(.ids([5, 6, 7]), maxTokens: .max),
          "the prompt has 3 tokens and \(Int.max) more may follow, but the model's context holds 512; ask for at most 509 tokens"
        ),
        (
          .init(.ids([Int32](repeating: 5, count: 512)), maxTokens: 1),
          "the prompt has 512 tokens and 1 more may follow, but the model's context holds 512; shorten the prompt"
        ),
      ]
      for (request, message) in cases {
        let error = try #require(throws: ReFTError.self) { try generator.generate([request]) }
        #expect(error.code == .usage && error.message == message)
        let second = try #require(throws: ReFTError.self) {
          try generator.generate([.init(.text("a")), request]) { _ in Issue.record("text came") }
        }
        #expect(second.message == "request 1: " + message)
      }
      let error = try #require(throws: ReFTError.self) {
        try generator.generate([.init(.text("a"))], batchSize: 0)
      }
      #expect(error.message == "batch-size is 0; expected 1 or more")
      #expect(try generator.generate([]).isEmpty)
      #expect(try generator.generate([.init(.ids([5, 6, 7]), maxTokens: 509)])[0].ids.count <= 509)
    }
  }

  @Test("needs a chat template for a chat")
  func needsTemplate() throws {
    try withTemporaryDirectory { folder in
      var file = TinyModel().writer()
      file.remove("tokenizer.chat_template")
      try file.write(to: folder + "/m.gguf")
      let model = try LoadedModel(path: folder + "/m.gguf")
      let error = try #require(throws: ReFTError.self) {
        try TextGenerator(model: model).generate([.init(.chat([.init(role: "user", content: "a")]))]
        )
      }
      #expect(error.code == .usage)
      #expect(
        error.message.hasSuffix(
          "m.gguf has no chat template; use a chat model, or write the prompt out and give it as it is"
        )
      )
    }
  }

  @Test("writes a chat out with the model's template, with one start token")
  func writesChats() throws {
    try withTemporaryDirectory { folder in
      var tiny = TinyModel()
      tiny.addsStartToken = true
      let model = try LoadedModel(path: tiny.write(in: folder))
      let request = GenerationRequest(.chat([.init(role: "user", content: "a")]))
      // ChatML begins with <|im_start|>, which is the start token of this model.
      let text = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n"
      #expect(try request.promptIds(for: model) == model.tokenizer.encode(text, addBOS: false))
      #expect(
        try GenerationRequest(.text("a")).promptIds(for: model).first == TinyModel.startOfTurn
      )
    }
  }

  @Test("stops when the listener throws, and forgets cancelled requests")
  func cancels() throws {
    try Self.withModel { model in
      struct Enough: Error {}
      #expect(throws: Enough.self) {
        try TextGenerator(model: model).generate(requests()) { _ in throw Enough() }
      }
      let batch = try GenerationBatch(model: model, size: 2)
      let numbers = try requests().map { try batch.submit($0) }
      #expect(numbers == [0, 1, 2, 3, 4])
      _ = batch.step()
      for number in [0, 1, 3, 4] { batch.cancel(number) }
      var finished: [Int] = []
      while !batch.isIdle {
        for case .finished(let number, _) in batch.step() { finished.append(number) }
      }
      #expect(finished == [2])
      #expect(batch.step().isEmpty)
    }
  }

  @Test("reads and writes the names of the contract as JSON")
  func writesJSON() throws {
    let json =
      #"{"finish_reason":"stop_string","ids":[1],"prompt_ids":[2,3],"text":"a","timings":"#
      + #"{"load_seconds":0.5,"prompt_tokens":2,"prompt_tokens_per_second":4,"tokens":1,"#
      + #""tokens_per_second":0}}"#
    let result = try JSONDecoder().decode(GenerationResult.self, from: Data(json.utf8))
    #expect(result.finishReason == .stopString && result.promptIds == [2, 3])
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    #expect(String(decoding: try encoder.encode(result), as: UTF8.self) == json)
  }
}
