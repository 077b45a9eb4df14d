// SPDX-License-Identifier: Apache-2.0
// The tokenizer against the ids of the reference implementations, on real vocabularies.

import Foundation
import ReFTTensor
import ReFTText
import Testing
import _ReFTTestSupport

@Suite struct TokenizerReferenceTests {
  private struct Row: Decodable {
    var text: String
    var ids: [Int32]
  }

  private struct Talk: Decodable {
    var user: String
    var promptIds: [Int32]
    var newIds: [Int32]
    var text: String
  }

  @Test("gives SmolLM2's ids for every reference text, and the texts back", .requiresRealModel)
  func smolLM2() throws {
    let tokenizer = try Tokenizer(gguf: GGUFFile(path: RealModel.required()))
    let rows = try JSONDecoder().decode([Row].self, from: Fixture.data("smollm2/tokenizer.json"))
    #expect(rows.count == 30)
    for row in rows {
      #expect(tokenizer.encode(row.text) == row.ids, "\(row.text.debugDescription)")
      #expect(Array(tokenizer.decode(row.ids).utf8) == Array(row.text.utf8))
    }
    #expect(tokenizer.stopIds == [0, 2] && tokenizer.bos == 1 && !tokenizer.addsBOS)
  }

  @Test("gives SmolLM2's prompt ids for chats through the template of the file", .requiresRealModel)
  func smolLM2Chats() throws {
    let gguf = try GGUFFile(path: RealModel.required())
    let tokenizer = try Tokenizer(gguf: gguf)
    let source = try #require(gguf.string("tokenizer.chat_template"))
    let template = ChatTemplate(source: source, bos: "<|im_start|>", eos: "<|im_end|>")
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    for talk in try decoder.decode([Talk].self, from: Fixture.data("smollm2/greedy.json")) {
      let message = ChatMessage(role: "user", content: talk.user)
      let prompt = try template.render([message], addGenerationPrompt: true)
      #expect(tokenizer.encode(prompt) == talk.promptIds)
      #expect(tokenizer.decode(talk.newIds, skipSpecial: true) == talk.text)
    }
  }

  /// The folder of development data beside the repository, which is no part of it.
  private static let vocabularies: String? = {
    let root = Fixture.folder + "/../.."
    return [root + "/../shared", root + "/../../shared"].map { $0 + "/data/tokenizers" }
      .first { FileManager.default.fileExists(atPath: $0) }
  }()

  @Test(
    "gives llama.cpp's ids for its own test texts",
    .enabled(if: vocabularies != nil, "needs ../shared/data/tokenizers beside the repository"),
    arguments: ["gpt-2", "mpt", "falcon", "bert-bge", "llama-bpe", "qwen2"]
  )
  func llamaVocabularies(name: String) throws {
    let base = try #require(Self.vocabularies) + "/ggml-vocab-\(name).gguf"
    // Only some of the vocabularies are on every machine.
    guard FileManager.default.fileExists(atPath: base) else { return }
    let tokenizer = try Tokenizer(gguf: GGUFFile(path: base))
    let input = try String(contentsOfFile: base + ".inp", encoding: .utf8)
    let output = try String(contentsOfFile: base + ".out", encoding: .utf8)
    let texts = input.components(separatedBy: "\n__ggml_vocab_test__\n")
    let lines = output.split(separator: "\n", omittingEmptySubsequences: false)
    #expect(texts.count > 40 && lines.count >= texts.count - 1)
    for (text, line) in zip(texts, lines) {
      let expected = line.split(separator: " ").compactMap { Int32($0) }
      let found = tokenizer.encode(text, parseSpecial: false, addBOS: false)
      #expect(found == expected, "\(text.debugDescription)")
    }
  }

  @Test(
    "gives SentencePiece's ids for Mistral's tokenizer.model",
    .enabled(if: vocabularies != nil, "needs ../shared/data/tokenizers beside the repository")
  )
  func mistral() throws {
    let folder = try #require(Self.vocabularies) + "/mistral"
    let tokenizer = try Tokenizer(sentencePiece: folder + "/tokenizer.model.v1", settings: nil)
    let data = try Data(contentsOf: URL(filePath: folder + "/expected_sentencepiece.json"))
    let rows = try JSONDecoder().decode([Row].self, from: data)
    #expect(rows.count > 5)
    for row in rows {
      let found = tokenizer.encode(row.text, parseSpecial: false, addBOS: false)
      #expect(found == row.ids, "\(row.text.debugDescription)")
    }
  }
}
