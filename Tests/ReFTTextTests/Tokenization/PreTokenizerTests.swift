// SPDX-License-Identifier: Apache-2.0
// The hand-written cutters against the published regular expressions.

import Foundation
import ReFTText
import Testing
import _ReFTTestSupport

@Suite struct PreTokenizerTests {
  /// One text of pieces.json, which make_pieces.py writes.
  private struct Row: Decodable {
    var text: String
    var pieces: [String: [String]]

    init(from decoder: any Decoder) throws {
      let fields = try decoder.container(keyedBy: Key.self)
      text = try fields.decode(String.self, forKey: Key(stringValue: "text"))
      pieces = [:]
      for key in fields.allKeys where key.stringValue != "text" {
        pieces[key.stringValue] = try fields.decode([String].self, forKey: key)
      }
    }

    private struct Key: CodingKey {
      var stringValue: String
      var intValue: Int? { nil }
      init(stringValue: String) { self.stringValue = stringValue }
      init?(intValue: Int) { nil }
    }
  }

  @Test(
    "cuts every text as the regular expression does",
    arguments: ["gpt-2", "smollm", "llama-bpe", "qwen2"]
  )
  func cutsAsTheExpression(name: String) throws {
    let rows = try JSONDecoder().decode([Row].self, from: Fixture.data("tokenization/pieces.json"))
    let preTokenizer = try #require(PreTokenizer(named: name))
    #expect(rows.count > 300)
    for row in rows {
      let expected = try #require(row.pieces[name]).map { Array($0.utf8) }
      let found = preTokenizer.pieces(of: row.text).map { Array($0.utf8) }
      #expect(found == expected, "\(row.text.debugDescription)")
    }
  }

  @Test("knows no pre-tokenizer of another name")
  func refusesOtherNames() {
    #expect(PreTokenizer(named: "odd")?.pieces(of: "a") == nil)
    for name in PreTokenizer.supportedNames {
      #expect(PreTokenizer(named: name)?.pieces(of: "a") == ["a"], "\(name)")
    }
    #expect(PreTokenizer(named: "")?.pieces(of: "a") == nil)
  }

  @Test(
    "cuts as the names of GGUF files say",
    arguments: [
      ("default", "a1234, b", ["a", "123", "4", ",", " b"]),
      ("falcon", "x 1234!?", ["x", " ", "123", "4", "!?"]),
      ("deepseek-v3", "日本12345 don't", ["日本", "123", "45", " don", "'t"]),
      ("gpt-4o", "HTTPServer don't 1234", ["HTTPServer", " don't", " ", "123", "4"]),
      ("tekken", "HelloWorld 12", ["Hello", "World", " ", "1", "2"]),
      ("kimi-k2", "日本語abc", ["日本語", "abc"]),
      ("superbpe", "a1234567", ["a", "1", "234", "567"]),
      ("bloom", "a, b (c)", ["a", ",", " b", " (", "c", ")"]),
      ("deepseek-coder", "ab 12\n", ["ab", " ", "1", "2", "\n"]),
      ("deepseek-llm", "ab 12\n", ["ab", " ", "12", "\n"]),
      ("bailingmoe", "it's 12", ["it", "'s", " ", "1", "2"]),
      ("seed-coder", "a!\n", ["a", "!", "\n"]),
    ]
  )
  func names(name: String, text: String, pieces: [String]) throws {
    #expect(try #require(PreTokenizer(named: name)).pieces(of: text) == pieces)
  }
}
