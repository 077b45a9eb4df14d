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
    #expect(PreTokenizer(named: "default") == nil)
    #expect(PreTokenizer(named: "") == nil)
  }
}
