// SPDX-License-Identifier: Apache-2.0
// `tokenizer.json` against the ids of the tokenizers library, and what is not understood in one.

import Foundation
import ReFTTensor
import ReFTText
import Testing
import _ReFTTestSupport

@Suite struct TokenizerFileTests {
  private struct Expected: Decodable {
    var texts: [String]
    var ids: [String: [[Int32]]]
  }

  private static func file(_ name: String) -> String {
    Fixture.path("tokenization/files/\(name).json")
  }

  @Test(
    "gives the library's ids",
    arguments: ["gpt2", "smollm", "llama3", "qwen2", "gemma", "llama2"]
  )
  func library(name: String) throws {
    let expected = try JSONDecoder().decode(
      Expected.self,
      from: Fixture.data("tokenization/files/expected.json")
    )
    let tokenizer = try Tokenizer(file: Self.file(name), settings: nil)
    let ids = try #require(expected.ids[name])
    #expect(expected.texts.count > 100 && ids.count == expected.texts.count)
    for (text, ids) in zip(expected.texts, ids) {
      #expect(tokenizer.encode(text) == ids, "\(text.debugDescription)")
    }
  }

  @Test("gives texts back", arguments: ["gpt2", "llama3", "gemma"])
  func roundTrip(name: String) throws {
    let tokenizer = try Tokenizer(file: Self.file(name), settings: nil)
    for text in ["", "Hello,  world!\n\n", "日本 🙂 e\u{301}", "\t<b>x</b>"] {
      let ids = tokenizer.encode(text, addBOS: false)
      #expect(Array(tokenizer.decode(ids).utf8) == Array(text.utf8))
    }
  }

  @Test("takes the tokens with a meaning from the files beside it")
  func settings() throws {
    try withTemporaryDirectory { folder in
      func write(_ text: String, _ name: String) throws {
        try Data(text.utf8).write(to: URL(filePath: folder + "/" + name))
      }
      try write(
        #"{"eos_token": {"content": "<eos>"}, "bos_token": "<bos>", "add_bos_token": false}"#,
        "tokenizer_config.json"
      )
      try write(#"{"eos_token_id": [1, 300]}"#, "generation_config.json")
      let tokenizer = try Tokenizer(
        file: Self.file("gemma"),
        settings: TokenizerSettings(folder: folder)
      )
      #expect(tokenizer.bos == 2 && tokenizer.eos == 1 && !tokenizer.addsBOS)
      #expect(tokenizer.stopIds == [1, 300])
      try write(#"{"eos_token": "<nowhere>"}"#, "tokenizer_config.json")
      let error = #expect(throws: ReFTError.self) {
        try Tokenizer(file: Self.file("gemma"), settings: TokenizerSettings(folder: folder))
      }
      #expect(error?.message.contains("the eos token is '<nowhere>'") == true)
    }
  }

  /// A change of a good file, and what is said of it.
  struct Fault: Sendable, CustomTestStringConvertible {
    var original: String
    var change: String
    var message: String
    var testDescription: String { message }
  }

  static let faults = [
    Fault(
      original: #""type":"BPE""#,
      change: #""type":"Odd""#,
      message: "model.type is 'Odd'; expected BPE, Unigram, WordPiece or WordLevel"
    ),
    Fault(
      original: #""normalizer":null"#,
      change: #""normalizer":{"type":"Odd"}"#,
      message: "normalizer is 'Odd'; expected BertNormalizer, ByteLevel, Lowercase, NFC"
    ),
    Fault(
      original: #""pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false"#,
      change:
        #""pre_tokenizer":{"type":"Split","pattern":{"Regex":"a(?<=b)"},"behavior":"Isolated""#,
      message: "the expression 'a(?<=b)' is one that has a group of a kind that is not known"
    ),
    Fault(
      original: #""normalizer":null"#,
      change: #""normalizer":{"type":"Precompiled","precompiled_charsmap":"AAAA"}"#,
      message: "precompiled_charsmap is a text; expected SentencePiece's table in base 64"
    ),
    Fault(
      original: #""post_processor":null"#,
      change: #""post_processor":{"type":"Odd"}"#,
      message: "post_processor is 'Odd'; expected TemplateProcessing, BertProcessing, Roberta"
    ),
    Fault(
      original: #""post_processor":null"#,
      change: #""post_processor":{"type":"BertProcessing","sep":["<|end|>",1]}"#,
      message: "post_processor.cls is nothing; expected a token and its id"
    ),
    Fault(
      original: #""dropout":null"#,
      change: #""dropout":0.1"#,
      message: "model.dropout is 0.1; expected null"
    ),
    Fault(
      original: #""<|end|>":1"#,
      change: #""<|end|>":"one""#,
      message: "an id of model.vocab is 'one'; expected a whole number"
    ),
  ]

  @Test("names the place of what it does not understand", arguments: faults)
  func refusals(fault: Fault) throws {
    let text = try String(contentsOfFile: Self.file("gpt2"), encoding: .utf8)
    #expect(text.contains(fault.original))
    try withTemporaryDirectory { folder in
      let path = folder + "/tokenizer.json"
      try text.replacingOccurrences(of: fault.original, with: fault.change)
        .write(toFile: path, atomically: false, encoding: .utf8)
      let error = #expect(throws: ReFTError.self) { try Tokenizer(file: path, settings: nil) }
      #expect(error?.code == .badData)
      #expect(error?.message.hasPrefix("\(path):1:") == true, "\(error?.message ?? "")")
      #expect(error?.message.contains(fault.message) == true, "\(error?.message ?? "")")
    }
  }
}
