// SPDX-License-Identifier: Apache-2.0
// Greedy texts of the real model against the reference implementation.

import Foundation
import ReFTGeneration
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText
import Testing
import _ReFTTestSupport

@Suite struct RealGenerationTests {
  private struct Talk: Decodable {
    var user: String
    var promptIds: [Int32]
    var newIds: [Int32]
    var text: String
  }

  private static func talks() throws -> [Talk] {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode([Talk].self, from: Fixture.data("smollm2/greedy.json"))
  }

  private static func requests(_ talks: [Talk]) -> [GenerationRequest] {
    talks.map {
      GenerationRequest(.chat([ChatMessage(role: "user", content: $0.user)]), maxTokens: 60)
    }
  }

  @Test(
    "continues the reference chats token for token, alone and in a batch",
    .requiresRealModel,
    arguments: [1, 4]
  )
  func continuesChats(batchSize: Int) throws {
    let talks = try Self.talks()
    let generator = try TextGenerator(path: RealModel.required())
    let results = try generator.generate(Self.requests(talks), batchSize: batchSize)
    #expect(results.count == 4)
    for (talk, result) in zip(talks, results) {
      #expect(result.promptIds == talk.promptIds)
      #expect(result.ids == talk.newIds)
      #expect(result.text == talk.text)
      #expect(result.finishReason == .stop)
    }
  }

  @Test("rounds activations on request, with the same texts in any batch", .requiresRealModel)
  func roundsActivations() throws {
    let talks = try Self.talks()
    let generator = try TextGenerator(path: RealModel.required())
    let alone = try generator.generate(Self.requests(talks), precision: .int8)
    let together = try generator.generate(Self.requests(talks), batchSize: 4, precision: .int8)
    #expect(alone.map(\.ids) == together.map(\.ids))
    let same = zip(alone, talks).count { $0.ids.first == $1.newIds.first }
    // Without tiles, bytes are multiplied for prompts, too, and a first token may be another one.
    let roundsPrompts = ["AVX-512 and VNNI", "AVX2 and FMA"].contains(Machine.kernels)
    #expect(same >= (roundsPrompts ? 3 : 4), "first tokens with \(Machine.kernels)")
  }

  @Test(
    "caches keys and values in eight bits on request, with the same texts in any batch",
    .requiresRealModel
  )
  func roundsKeysAndValues() throws {
    let talks = try Self.talks()
    let generator = try TextGenerator(path: RealModel.required())
    let precision = DecodePrecision(.int16, cache: .int8)
    let alone = try generator.generate(Self.requests(talks), precision: precision)
    let together = try generator.generate(Self.requests(talks), batchSize: 4, precision: precision)
    #expect(alone.map(\.ids) == together.map(\.ids))
    for (result, talk) in zip(alone, talks) {
      #expect(result.ids.first == talk.newIds.first)
    }
  }
}
