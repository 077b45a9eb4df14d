// SPDX-License-Identifier: Apache-2.0
// SentencePiece's BPE against the library's own ids, on a small vocabulary and on Gemma's.

import Foundation
import ReFTTensor
import ReFTText
import Testing
import _ReFTTestSupport

@Suite struct SentencePieceTests {
  /// What make_sentencepiece.py wrote.
  private struct Reference: Decodable {
    var pieces: [String]
    var scores: [Float]
    var types: [Int]
    var texts: [String]
    var prefixed: [[Int32]]
    var plain: [[Int32]]

    static func load() throws -> Reference {
      try JSONDecoder().decode(
        Reference.self,
        from: Fixture.data("tokenization/sentencepiece.json")
      )
    }

    func metadata(addsSpacePrefix: Bool) -> TokenizerMetadata {
      var metadata = TokenizerMetadata()
      metadata.model = "llama"
      metadata.tokens = StringTable(pieces)
      metadata.types = types
      metadata.scores = scores
      metadata.prefix = addsSpacePrefix ? .everyPart : .never
      metadata.addsBOS = false
      metadata.roles["unknown"] = types.firstIndex(of: 2)
      return metadata
    }
  }

  private struct Row: Decodable {
    var text: String
    var ids: [Int32]
  }

  @Test("gives the library's ids, with and without a space of its own", arguments: [true, false])
  func library(addsSpacePrefix: Bool) throws {
    let reference = try Reference.load()
    let tokenizer = try Tokenizer(
      reference.metadata(addsSpacePrefix: addsSpacePrefix),
      path: "small.gguf"
    )
    let expected = addsSpacePrefix ? reference.prefixed : reference.plain
    #expect(reference.texts.count > 100 && expected.count == reference.texts.count)
    for (text, ids) in zip(reference.texts, expected) {
      #expect(tokenizer.encode(text, parseSpecial: false) == ids, "\(text.debugDescription)")
    }
  }

  @Test("gives any bytes back, also those that are no UTF-8")
  func roundTrip() throws {
    let tokenizer = try Tokenizer(
      Reference.load().metadata(addsSpacePrefix: false),
      path: "small.gguf"
    )
    var random = SeededGenerator(seed: 5)
    for _ in 0..<400 {
      let bytes = (0..<Int.random(in: 0..<60, using: &random)).map { _ in
        Bool.random(using: &random) ? UInt8.random(in: 0...255, using: &random) : UInt8(0x20)
      }
      let ids = tokenizer.encode(bytes: bytes, parseSpecial: false)
      #expect(tokenizer.decodeBytes(ids) == bytes)
    }
  }

  @Test("a long text without a space takes the same way as a short one, in little time")
  func longText() throws {
    let tokenizer = try Tokenizer(
      Reference.load().metadata(addsSpacePrefix: false),
      path: "small.gguf"
    )
    let ids = tokenizer.encode(String(repeating: "hidden", count: 100_000))
    #expect(ids == Array(repeating: tokenizer.encode("hidden"), count: 100_000).flatMap(\.self))
  }

  @Test("finds markers in text only where it is asked to")
  func markers() throws {
    let reference = try Reference.load()
    let tokenizer = try Tokenizer(reference.metadata(addsSpacePrefix: false), path: "small.gguf")
    let end = try #require(tokenizer.id(of: "</s>"))
    #expect(tokenizer.encode("</s>", parseSpecial: true) == [end])
    #expect(!tokenizer.encode("</s>", parseSpecial: false).contains(end))
  }

  @Test("names the key or token that does not fit")
  func refusals() throws {
    let good = try Reference.load().metadata(addsSpacePrefix: true)
    var missing = good
    missing.scores = nil
    var short = good
    short.scores?.removeLast()
    var broken = good
    broken.scores?[40] = .nan
    for (metadata, message) in [
      (missing, "the tokenizer's key 'tokenizer.ggml.scores' is missing or of another type"),
      (short, "tokenizer.ggml.scores has 699 entries for 700 tokens; expected one per token"),
      (broken, "token 40 has the score nan; expected a finite number"),
    ] {
      let error = #expect(throws: ReFTError.self) { try Tokenizer(metadata, path: "m.gguf") }
      #expect(error?.code == .badData)
      #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
    }
  }

  @Test("gives Gemma's ids for every reference text, and the texts back", .requiresGemma)
  func gemma() throws {
    let tokenizer = try Tokenizer(gguf: GGUFFile(path: RealModel.requiredGemma()))
    let rows = try JSONDecoder().decode(
      [Row].self,
      from: Fixture.data("gemma3-270m/tokenizer.json")
    )
    #expect(rows.count == 30)
    for row in rows {
      #expect(tokenizer.encode(row.text, addBOS: false) == row.ids, "\(row.text.debugDescription)")
      #expect(Array(tokenizer.decode(row.ids).utf8) == Array(row.text.utf8))
    }
    #expect(tokenizer.encode("a").first == tokenizer.bos && tokenizer.addsBOS)
    #expect(tokenizer.stopIds == [1, 106])
  }
}
