// SPDX-License-Identifier: Apache-2.0
// `reft tokenize`: text to token ids.

import ArgumentParser
import ReFTModel
import ReFTTensor
import ReFTText

struct TokenizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize",
    abstract: "Turn text into token ids.",
    discussion: """
      Without --text the bytes of stdin are taken as they are, the last line end too.

      EXAMPLES
        reft tokenize --model smollm2-135m-instruct --text "Hello, world"
        reft tokenize --model m.gguf --json < file.txt
      """
  )

  @OptionGroup var model: ModelOptions
  @OptionGroup var common: CommonOptions

  @Option(help: "The text; without it, stdin is read.")
  var text: String?

  @Flag(help: "Begin with the beginning-of-text token.")
  var bos = false

  @Flag(name: .customLong("no-special"), help: "Read markers such as <|im_end|> as plain text.")
  var noSpecial = false

  private struct Document: Encodable {
    var ids: [Int32]
    var tokens: [String]
  }

  func run() throws {
    let tokenizer = try ModelText(ModelFiles.open(model.path())).tokenizer
    try tokenizer.requirePresent()
    let bytes = try text.map { Array($0.utf8) } ?? StandardStream.readAll()
    let ids = tokenizer.encode(bytes: bytes, parseSpecial: !noSpecial, addBOS: bos)
    let tokens = ids.map { tokenizer.piece($0) }
    if common.json {
      try Output.json(Document(ids: ids, tokens: tokens))
    } else {
      Output.table(zip(ids, tokens).map { [String($0), $1] })
    }
  }
}
