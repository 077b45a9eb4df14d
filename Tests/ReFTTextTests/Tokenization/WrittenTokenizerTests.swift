// SPDX-License-Identifier: Apache-2.0
// Tokenizers of folders written as the keys of a GGUF file: read from there they give the same tokens, or
// they are refused.

import Foundation
import ReFTTensor
import ReFTText
import Testing
import _ReFTTestSupport

@Suite("Tokenizers written to GGUF")
struct WrittenTokenizerTests {
  private struct Reference: Decodable { var texts: [String] }

  /// Markers of the fixtures that are found as single words alone, or that take spaces beside them.
  private static let ruled = ["word", "<tool>", "[MASK]"]

  /// The texts that the library's ids are known of, without what GGUF has no key for: composing of letters
  /// in byte-level models, as Qwen's, and rules of markers.
  private static func texts() throws -> [String] {
    try ["files", "kinds"].flatMap { name in
      let data = try Fixture.data("tokenization/\(name)/expected.json")
      return try JSONDecoder().decode(Reference.self, from: data).texts
    }.filter { text in
      Array(text.precomposedStringWithCanonicalMapping.utf8) == Array(text.utf8)
        && !ruled.contains { text.contains($0) }
    }
  }

  /// A folder with a tokenizer file of the fixtures.
  private func folder(_ name: String, in place: String) throws -> ModelFolder {
    let copy = place + "/model"
    try FileManager.default.copyItem(atPath: Fixture.path("tiny/llama"), toPath: copy)
    let isModel = name.hasSuffix(".model")
    try FileManager.default.copyItem(
      atPath: Fixture.path("tokenization/\(name)"),
      toPath: copy + (isModel ? "/tokenizer.model" : "/tokenizer.json")
    )
    return try ModelFolder(path: copy)
  }

  /// The tokenizers as a folder and as a file of its keys have them.
  private func pair(_ name: String) throws -> (folder: Tokenizer, file: Tokenizer, pre: String?) {
    try withTemporaryDirectory { place in
      let source = try folder(name, in: place)
      var output = GGUFOutput()
      for (key, value) in try ModelText.outputValues(of: source) { output.set(key, value) }
      try output.write(to: place + "/words.gguf") { _, _, _ in }
      let file = try GGUFFile(path: place + "/words.gguf")
      return try (
        ModelText(source).tokenizer, ModelText(file).tokenizer, file.string("tokenizer.ggml.pre")
      )
    }
  }

  private static let written: KeyValuePairs<String, String?> = [
    "files/gpt2.json": "gpt-2", "files/smollm.json": "smollm", "files/llama3.json": "llama-bpe",
    "files/qwen2.json": "qwen2", "files/gemma.json": nil,
    "kinds/wordpiece.json": nil, "kinds/gpt4o.json": "gpt-4o", "kinds/bpe.model": nil,
    "kinds/bpe-plain.model": nil,
  ]

  @Test("give the same tokens", arguments: written.map { $0.key })
  func same(name: String) throws {
    let (folder, file, pre) = try pair(name)
    #expect(pre == Self.written.first { $0.key == name }?.value)
    #expect(folder.vocabularySize == file.vocabularySize && folder.addsBOS == file.addsBOS)
    #expect(folder.eos == file.eos && folder.stopIds == file.stopIds)
    let texts = try Self.texts()
    #expect(texts.count > 80)
    for text in texts {
      let ids = folder.encode(text)
      #expect(file.encode(text) == ids, "'\(text)'")
      // Pairs are for encoders.
      guard name.contains("wordpiece") else { continue }
      #expect(
        file.encode(text, pair: "other", limit: 90, parseSpecial: false)
          == folder.encode(text, pair: "other", limit: 90, parseSpecial: false)
      )
    }
  }

  // The merges of llama2.json name one way to each piece, where SentencePiece's scores allow every one.
  @Test(
    "are refused where GGUF has no keys for them",
    arguments: [
      "kinds/t5.json", "kinds/wordlevel.json", "kinds/wordpiece-cased.json", "kinds/affixes.json",
      "kinds/unigram.model", "kinds/roberta.json", "files/llama2.json",
    ]
  )
  func refused(name: String) throws {
    try withTemporaryDirectory { place in
      let source = try folder(name, in: place)
      let error = #expect(throws: ReFTError.self) { try ModelText.outputValues(of: source) }
      #expect(error?.code == .badData)
      #expect(error?.message.contains("se the folder as it is") == true)
    }
  }

  @Test("are said to be missing where the folder has none, and ids go on")
  func none() throws {
    try withTemporaryDirectory { place in
      let source = try ModelFolder(path: Fixture.path("tiny/llama"))
      let values = try ModelText.outputValues(of: source)
      #expect(values.map(\.key) == ["tokenizer.ggml.model"])
      var output = GGUFOutput()
      for (key, value) in values { output.set(key, value) }
      output.add(GGUFOutput.Tensor(name: "token_embd.weight", type: .f32, shape: [3, 2]))
      try output.write(to: place + "/words.gguf") { _, _, writer throws(ReFTError) in
        try writer.write([UInt8](repeating: 0, count: 24))
      }
      let tokenizer = try ModelText(GGUFFile(path: place + "/words.gguf")).tokenizer
      #expect(tokenizer.vocabularySize == 3 && !tokenizer.hasTexts)
    }
  }
}
