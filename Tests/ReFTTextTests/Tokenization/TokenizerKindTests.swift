// SPDX-License-Identifier: Apache-2.0
// Tokenizers of every kind against the ids, texts and pairs of the libraries that made them.

import Foundation
import ReFTTensor
import ReFTText
import Testing
import _ReFTTestSupport

@Suite struct TokenizerKindTests {
  /// What make_kinds.py wrote of one tokenizer.
  private struct Kind: Decodable {
    var ids: [[Int32]]
    var decoded: [String]
    var pairs: [[Int32]]?
    var types: [[Int32]]?
    var cut: [[Int32]]?
  }

  private struct Expected: Decodable {
    var texts: [String]
    var pairs: [[String]]
    var kinds: [String: Kind]
  }

  private static func load(_ name: String) throws -> (Expected, Kind, Tokenizer) {
    let data = try Fixture.data("tokenization/kinds/expected.json")
    let expected = try JSONDecoder().decode(Expected.self, from: data)
    let path = Fixture.path("tokenization/kinds/\(name)")
    let tokenizer =
      models.contains(name)
      ? try Tokenizer(sentencePiece: path + ".model", settings: nil)
      : try Tokenizer(file: path + ".json", settings: nil)
    return (expected, try #require(expected.kinds[name]), tokenizer)
  }

  private static let models = ["unigram", "unigram-bytes", "bpe", "bpe-plain"]
  private static let files = [
    "wordpiece", "wordpiece-cased", "wordlevel", "roberta", "affixes", "gpt4o", "falcon",
    "deepseek3", "bloom", "odd", "t5",
  ]

  @Test("gives the library's ids", arguments: models + files)
  func ids(name: String) throws {
    let (expected, kind, tokenizer) = try Self.load(name)
    #expect(expected.texts.count >= 60 && kind.ids.count == expected.texts.count)
    for (text, ids) in zip(expected.texts, kind.ids) {
      let isFile = Self.files.contains(name)
      let found = tokenizer.encode(text, parseSpecial: isFile, addBOS: false)
      #expect(found == ids, "\(text.debugDescription)")
    }
  }

  @Test(
    "gives the library's texts, at once and as a stream",
    arguments: models + ["wordpiece", "wordpiece-cased", "roberta", "gpt4o"]
  )
  func texts(name: String) throws {
    let (_, kind, tokenizer) = try Self.load(name)
    // SentencePiece writes a space around what is unknown; here it is the token's own text.
    let unknown = tokenizer.id(of: "<unk>") ?? -1
    for (ids, text) in zip(kind.ids, kind.decoded) where !ids.contains(unknown) {
      #expect(tokenizer.decode(ids) == text, "\(ids)")
      var decoder = Tokenizer.Decoder(tokenizer, skipSpecial: false)
      let stream = ids.map { decoder.feed($0) }.joined() + decoder.finish()
      #expect(stream == tokenizer.decode(ids))
    }
  }

  @Test("frames pairs as the library does, also in too little room", arguments: files)
  func pairs(name: String) throws {
    let (expected, kind, tokenizer) = try Self.load(name)
    let (pairs, types, cut) = (try #require(kind.pairs), try #require(kind.types), kind.cut ?? [])
    for (index, texts) in expected.pairs.enumerated() {
      let found = tokenizer.encode(texts[0], pair: texts[1])
      #expect(found.ids == pairs[index] && found.types == types[index], "\(texts)")
      #expect(tokenizer.encode(texts[0], pair: texts[1], limit: 9).ids == cut[index], "\(texts)")
    }
  }

  @Test("byte-level tokenizers give every text back", arguments: ["gpt4o", "falcon", "deepseek3"])
  func roundTrip(name: String) throws {
    let (expected, _, tokenizer) = try Self.load(name)
    var random = SeededGenerator(seed: 17)
    let letters = Array(expected.texts.joined().unicodeScalars)
    for _ in 0..<300 {
      var text = String.UnicodeScalarView()
      for _ in 0..<Int.random(in: 0..<30, using: &random) {
        let any = Unicode.Scalar(UInt32.random(in: 0...0x10FFFF, using: &random))
        let known = letters.randomElement(using: &random)
        if let scalar = Bool.random(using: &random) ? any : known { text.append(scalar) }
      }
      let bytes = Array(String(text).utf8)
      let ids = tokenizer.encode(bytes: bytes, parseSpecial: false)
      #expect(tokenizer.decodeBytes(ids) == bytes, "\(String(text).debugDescription)")
    }
  }

  @Test("generated tokens keep the space that they begin with")
  func continuing() throws {
    let (_, _, tokenizer) = try Self.load("bpe")
    let ids = tokenizer.encode("the plugin", addBOS: false)
    var decoder = Tokenizer.Decoder(tokenizer, continuing: true)
    #expect(ids.map { decoder.feed($0) }.joined() == " the plugin")
    #expect(tokenizer.decode(ids) == "the plugin")
  }

  @Test("an expression without end cuts nothing more, in little time")
  func hostileExpression() throws {
    let (_, _, good) = try Self.load("gpt4o")
    let text = try String(
      contentsOfFile: Fixture.path("tokenization/kinds/gpt4o.json"),
      encoding: .utf8
    )
    try withTemporaryDirectory { folder in
      for expression in ["(a*)*b", "(a|a)*b", "(a*)*(a*)*c", "(?=(a+)+b)x"] {
        let start = try #require(text.range(of: #"{"Regex":""#))
        let end = try #require(text[start.upperBound...].range(of: #""}"#))
        let path = folder + "/tokenizer.json"
        try text.replacingCharacters(in: start.upperBound..<end.lowerBound, with: expression)
          .write(toFile: path, atomically: false, encoding: .utf8)
        let tokenizer = try Tokenizer(file: path, settings: nil)
        let ids = tokenizer.encode(String(repeating: "a", count: 2_000))
        #expect(!ids.isEmpty && good.vocabularySize == tokenizer.vocabularySize)
      }
    }
  }

  @Test("a long run of combining marks is composed in little time, as a short one is")
  func longMarks() throws {
    let (_, _, tokenizer) = try Self.load("odd")
    let marks = String(repeating: "\u{301}\u{316}", count: 40_000)
    let ordered =
      String(repeating: "\u{316}", count: 40_000) + String(repeating: "\u{301}", count: 40_000)
    #expect(tokenizer.encode("x1" + marks) == tokenizer.encode("x1" + ordered))
  }
}
