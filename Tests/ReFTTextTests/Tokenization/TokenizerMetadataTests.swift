// SPDX-License-Identifier: Apache-2.0
// What is refused in a model file's tokenizer, with the words that the user sees.

import ReFTTensor
import ReFTText
import Testing
import _ReFTTestSupport

@Suite struct TokenizerMetadataTests {
  /// One way to spoil the metadata, and how the message must begin.
  struct Fault: Sendable, CustomTestStringConvertible {
    var name: String
    var message: String
    var spoil: @Sendable (inout TokenizerMetadata) -> Void

    var testDescription: String { name }
  }

  static let faults: [Fault] = [
    Fault(
      name: "no model",
      message: "m.gguf: the tokenizer's key 'tokenizer.ggml.model' is missing"
    ) {
      $0.model = nil
    },
    Fault(
      name: "another model",
      message: "m.gguf: tokenizer.ggml.model is 'odd'; supported are 'gpt2'"
    ) {
      $0.model = "odd"
    },
    Fault(name: "no pre-tokenizer", message: "m.gguf: the tokenizer's key 'tokenizer.ggml.pre'") {
      $0.preTokenizer = nil
    },
    Fault(
      name: "another pre-tokenizer",
      message:
        "m.gguf: tokenizer.ggml.pre is 'odd'; supported are bailingmoe, bailingmoe2, bloom"
    ) { $0.preTokenizer = "odd" },
    Fault(name: "no tokens", message: "m.gguf: the tokenizer's key 'tokenizer.ggml.tokens'") {
      $0.tokens = StringTable()
    },
    Fault(name: "no merges", message: "m.gguf: the tokenizer's key 'tokenizer.ggml.merges'") {
      $0.merges = nil
    },
    Fault(name: "duplicate", message: "m.gguf: tokens 1 and 2 have the same text 'b'") {
      $0.tokens = StringTable(["a", "b", "b"])
      $0.types = nil
    },
    Fault(
      name: "too few types",
      message:
        "m.gguf: tokenizer.ggml.token_type has 1 entries for 275 tokens; expected one per token"
    ) { $0.types = [1] },
    Fault(name: "unknown type", message: "m.gguf: token 1 has the type 7; expected 1 to 6") {
      $0.types?[1] = 7
    },
    Fault(name: "negative type", message: "m.gguf: token 274 has the type -1; expected 1 to 6") {
      $0.types?[274] = -1
    },
    Fault(name: "merge without space", message: "m.gguf: merge 0 is 'ab'; expected two tokens") {
      $0.merges = StringTable(["ab"])
    },
    Fault(name: "merge with nothing after the space", message: "m.gguf: merge 1 is 'b '; expected")
    {
      $0.merges = StringTable(["h e", "b "])
    },
    Fault(name: "empty merge", message: "m.gguf: merge 0 is ''; expected two tokens") {
      $0.merges = StringTable([""])
    },
    Fault(
      name: "merge of an unknown left",
      message: "m.gguf: merge 0, 'zz a', needs the token 'zz', which the vocabulary does not have"
    ) { $0.merges = StringTable(["zz a"]) },
    Fault(
      name: "merge of an unknown right",
      message: "m.gguf: merge 0, 'a zz', needs the token 'zz', which the vocabulary does not have"
    ) { $0.merges = StringTable(["a zz"]) },
    Fault(
      name: "merge to an unknown token",
      message: "m.gguf: merge 0, 'a b', needs the token 'ab', which the vocabulary does not have"
    ) { $0.merges = StringTable(["a b"]) },
    Fault(
      name: "end token out of range",
      message: "m.gguf: tokenizer.ggml.eos_token_id is 275; expected 0 to 274"
    ) { $0.roles = ["eos": 275] },
    Fault(
      name: "negative end token",
      message: "m.gguf: tokenizer.ggml.bos_token_id is -1; expected 0 to 274"
    ) { $0.roles = ["bos": -1] },
    Fault(
      name: "start token wanted but not named",
      message: "m.gguf: the tokenizer's key 'tokenizer.ggml.bos_token_id'"
    ) {
      $0.roles = [:]
      $0.addsBOS = true
    },
  ]

  @Test("refuses a tokenizer that does not hold together", arguments: faults)
  func refuses(fault: Fault) throws {
    var metadata = SmallVocabulary.english().metadata
    fault.spoil(&metadata)
    let error = try #require(throws: ReFTError.self) { try Tokenizer(metadata, path: "m.gguf") }
    #expect(error.code == .badData)
    #expect(error.message.hasPrefix(fault.message), "\(error.message)")
    #expect(error.message.contains("; "), "says what to do: \(error.message)")
  }

  @Test("refuses a key of another type in the file itself")
  func refusesWrongTypes() throws {
    try withTemporaryDirectory { folder in
      for key in ["model", "pre", "token_type", "merges", "add_bos_token", "eos_token_id"] {
        var file = GGUFWriter()
        file.set("tokenizer.ggml.\(key)", .float32(1))
        let path = folder + "/\(key).gguf"
        try file.write(to: path)
        let gguf = try GGUFFile(path: path)
        let error = try #require(throws: ReFTError.self) { try Tokenizer(gguf: gguf) }
        #expect(error.message.contains("'tokenizer.ggml.\(key)'"), "\(error.message)")
      }
    }
  }

  @Test("reads the tokenizer of a model file")
  func readsFile() throws {
    let tokenizer = try withTemporaryDirectory { folder in
      var model = TinyModel()
      model.addsStartToken = true
      return try Tokenizer(gguf: GGUFFile(path: model.write(in: folder)))
    }
    #expect(tokenizer.vocabularySize == TinyModel.vocabularySize)
    #expect(tokenizer.bos == TinyModel.startOfTurn && tokenizer.eos == TinyModel.endOfTurn)
    #expect(tokenizer.stopIds == [TinyModel.endOfTurn, TinyModel.endOfText])
    #expect(tokenizer.padding == TinyModel.endOfTurn)
    let ids = tokenizer.encode("the <|im_end|>")
    #expect(ids.first == TinyModel.startOfTurn && ids.last == TinyModel.endOfTurn)
    #expect(tokenizer.decode(ids, skipSpecial: true) == "the ")
  }
}
