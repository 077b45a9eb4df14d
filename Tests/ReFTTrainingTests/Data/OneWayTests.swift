// SPDX-License-Identifier: Apache-2.0
// The same words give the same ids, whoever asks: training, scoring, files of prompts, generation.

import Foundation
import ReFTGeneration
import ReFTHost
import ReFTTensor
import ReFTText
import ReFTTraining
import Testing
import _ReFTTestSupport

@Suite("One way from words to ids")
struct OneWayTests {
  /// A model's rules for the beginning of a text.
  struct Beginning: Sendable, CustomTestStringConvertible {
    var addsStartToken: Bool
    var templateWritesIt: Bool
    var testDescription: String {
      "tokenizer \(addsStartToken ? "adds" : "does not add"), template "
        + (templateWritesIt ? "writes" : "does not write")
    }

    /// How many start tokens a chat has.
    var chatStarts: Int { addsStartToken || templateWritesIt ? 1 : 0 }
    /// How many start tokens another text has.
    var textStarts: Int { addsStartToken ? 1 : 0 }
  }

  static let beginnings = [true, false].flatMap { adds in
    [true, false].map { Beginning(addsStartToken: adds, templateWritesIt: $0) }
  }

  private static let start = TinyModel.endOfText
  private static let plain = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"

  /// A model whose start token is one that no chat begins with by itself.
  private func model(_ beginning: Beginning, _ folder: String) throws -> LoadedModel {
    var tiny = TinyModel()
    tiny.addsStartToken = beginning.addsStartToken
    var file = tiny.writer()
    file.remove("tokenizer.ggml.bos_token_id")
    file.set("tokenizer.ggml.bos_token_id", .uint32(UInt32(Self.start)))
    if beginning.templateWritesIt {
      file.remove("tokenizer.chat_template")
      file.set(
        "tokenizer.chat_template",
        .string(
          "{{ bos_token }}{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content "
            + "+ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}"
            + "{{ '<|im_start|>assistant\n' }}{% endif %}"
        )
      )
    }
    try file.write(to: folder + "/m.gguf")
    return try LoadedModel(path: folder + "/m.gguf")
  }

  private func examples(
    _ row: String,
    _ model: LoadedModel,
    _ folder: String,
    template: Template? = nil
  ) throws -> [Example] {
    let path = folder + "/rows.jsonl"
    try Data(row.utf8).write(to: URL(fileURLWithPath: path))
    var options = DataSet.Options()
    options.template = template
    return try DataSet(
      path: path,
      options: options,
      coder: model.tokenizer,
      chatTemplate: model.text.chatTemplate
    ).examples
  }

  private func prompts(
    _ row: String,
    _ model: LoadedModel,
    _ folder: String,
    template: Template? = nil
  ) throws -> [Prompt] {
    let path = folder + "/prompts.jsonl"
    try Data(row.utf8).write(to: URL(fileURLWithPath: path))
    return try PromptFile.read(path: path, words: PromptEncoder(model.text, template: template))
      .map(\.prompt)
  }

  @Test("a chat has one start token where there is one at all", arguments: beginnings)
  func chats(beginning: Beginning) throws {
    try withTemporaryDirectory { folder in
      let model = try model(beginning, folder)
      let starts = [Int32](repeating: Self.start, count: beginning.chatStarts)
      let expected = starts + model.tokenizer.encode(Self.plain, addBOS: false)
      let answer = model.tokenizer.encode("yo", addBOS: false) + [TinyModel.endOfTurn]

      let message = ChatMessage(role: "user", content: "hi")
      #expect(try GenerationRequest(.chat([message])).promptIds(for: model) == expected)
      let words = PromptEncoder(model.text, template: .chat)
      #expect(try words.ids(of: .instruction("hi", input: "")) == expected)
      #expect(try prompts(#"{"chat":"hi"}"#, model, folder) == [.ids(expected)])
      let asked = #"{"messages":[{"role":"user","content":"hi"}]}"#
      #expect(try prompts(asked, model, folder) == [.ids(expected)])
      let instruction = #"{"instruction":"hi","output":"yo"}"#
      #expect(try prompts(instruction, model, folder, template: .chat) == [.ids(expected)])

      let talk =
        #"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]}"#
      for examples in [
        try examples(talk, model, folder), try examples(talk, model, folder, template: .chat),
        try examples(instruction, model, folder, template: .chat),
      ] {
        #expect(examples.map(\.ids) == [expected + answer])
        #expect(examples.map(\.promptLength) == [expected.count])
      }
    }
  }

  @Test("any other text has one where the tokenizer adds it", arguments: beginnings)
  func texts(beginning: Beginning) throws {
    try withTemporaryDirectory { folder in
      let model = try model(beginning, folder)
      let starts = [Int32](repeating: Self.start, count: beginning.textStarts)
      let expected = starts + model.tokenizer.encode("hi", addBOS: false)
      let answer = model.tokenizer.encode("yo", addBOS: false) + [TinyModel.endOfTurn]
      #expect(try GenerationRequest(.text("hi")).promptIds(for: model) == expected)
      #expect(try prompts(#"{"prompt":"hi"}"#, model, folder) == [.ids(expected)])
      #expect(try prompts(#"{"instruction":"hi"}"#, model, folder) == [.ids(expected)])
      #expect(
        try examples(#"{"prompt":"hi","completion":"yo"}"#, model, folder).map(\.ids)
          == [expected + answer]
      )
      #expect(
        try examples(#"{"instruction":"hi","output":"yo"}"#, model, folder).map(\.ids)
          == [expected + answer]
      )
      #expect(try examples(#"{"text":"hi"}"#, model, folder).map(\.ids) == [expected])
      // What the model would be asked as a chat may also be written out.
      let written = starts + model.tokenizer.encode(Self.plain, addBOS: false)
      #expect(PromptEncoder(model.text).ids(ofText: Self.plain) == written)
    }
  }

  @Test("an answer ends as the chat template ends a turn, and generation stops there")
  func endsOfTurns() throws {
    try withTemporaryDirectory { folder in
      var file = TinyModel().writer()
      file.remove("tokenizer.ggml.eos_token_id")
      file.set("tokenizer.ggml.eos_token_id", .uint32(UInt32(TinyModel.startOfTurn)))
      try file.write(to: folder + "/m.gguf")
      let model = try LoadedModel(path: folder + "/m.gguf")
      let talk =
        #"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]}"#
      #expect(try examples(talk, model, folder)[0].ids.last == TinyModel.endOfTurn)
      #expect(model.text.stopIds.contains(TinyModel.endOfTurn))
      let plain = #"{"prompt":"hi","completion":"yo"}"#
      #expect(try examples(plain, model, folder)[0].ids.last == TinyModel.startOfTurn)
    }
  }

  @Test("a template that was chosen and contradicts a conversation is an error with the place")
  func contradiction() throws {
    try withTemporaryDirectory { folder in
      let model = try model(Beginning(addsStartToken: false, templateWritesIt: false), folder)
      let talk =
        #"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]}"#
      let message =
        "a conversation goes through the model's chat template, but the template "
        + "'alpaca' was asked for; take 'chat', or leave it out"
      var error = #expect(throws: ReFTError.self) {
        try examples(talk, model, folder, template: .alpaca)
      }
      #expect(error?.code == .badData)
      #expect(error?.message == "\(folder)/rows.jsonl:1: " + message)
      error = #expect(throws: ReFTError.self) {
        try prompts(talk, model, folder, template: .alpaca)
      }
      #expect(error?.code == .badData)
      #expect(error?.message == "\(folder)/prompts.jsonl:1: " + message)
      error = #expect(throws: ReFTError.self) {
        try PromptEncoder(model.text, template: .alpaca).ids(
          of: .chat([ChatMessage(role: "user", content: "hi")])
        )
      }
      #expect(error?.code == .usage)
      #expect(error?.message == message)
    }
  }

  @Test("a chat template that cannot be parsed stops nobody who does not use it")
  func brokenTemplate() throws {
    try withTemporaryDirectory { folder in
      var file = TinyModel().writer()
      file.remove("tokenizer.chat_template")
      file.set("tokenizer.chat_template", .string("x\n{% frobnicate %}"))
      try file.write(to: folder + "/m.gguf")
      let model = try LoadedModel(path: folder + "/m.gguf")
      #expect(try GenerationRequest(.text("hi")).promptIds(for: model).count == 2)
      #expect(try GenerationRequest(.ids([5, 6])).promptIds(for: model) == [5, 6])
      #expect(try examples(#"{"ids":[4,5],"labels":[-100,5]}"#, model, folder)[0].ids == [4, 5])
      #expect(try examples(#"{"prompt":"a","completion":"b"}"#, model, folder)[0].labelCount == 2)
      let error = #expect(throws: ReFTError.self) {
        try GenerationRequest(.chat([ChatMessage(role: "user", content: "a")])).promptIds(
          for: model
        )
      }
      #expect(error?.code == .badData)
      #expect(
        error?.message.hasPrefix(
          "\(folder)/m.gguf: tokenizer.chat_template, line 2: '{% frobnicate %}' is not supported"
        ) == true
      )
    }
  }
}
