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
        reft tokenize --model folder --text "A question" --pair "An answer"
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

  @Option(help: "A second text, as encoders read pairs; asks for --frame.")
  var pair: String?

  @Flag(help: "With the tokens that the model puts around a text, such as [CLS] and [SEP].")
  var frame = false

  private struct Document: Encodable {
    var ids: [Int32]
    var tokens: [String]
    var types: [Int32]?
  }

  func run() throws {
    let tokenizer = try openTokenizer()
    try tokenizer.requirePresent()
    let bytes = try text.map { Array($0.utf8) } ?? StandardStream.readAll()
    if String(validating: bytes, as: UTF8.self) == nil {
      Output.note(
        "warning: the text is no UTF-8; bytes that the tokenizer has no token for are left out"
      )
    }
    var ids: [Int32]
    var types: [Int32]?
    if frame || pair != nil {
      let text = String(decoding: bytes, as: UTF8.self)
      let framed = tokenizer.encode(text, pair: pair, parseSpecial: !noSpecial)
      (ids, types) = (framed.ids, framed.types)
    } else {
      ids = tokenizer.encode(bytes: bytes, parseSpecial: !noSpecial, addBOS: bos)
    }
    let tokens = ids.map { tokenizer.piece($0) }
    if common.json {
      try Output.json(Document(ids: ids, tokens: tokens, types: types))
    } else if let types {
      Output.table(zip(zip(ids, types), tokens).map { [String($0.0), String($0.1), $1] })
    } else {
      Output.table(zip(ids, tokens).map { [String($0), $1] })
    }
  }

  /// The tokenizer of a model; of a folder its files of words alone, which may be all that it holds.
  private func openTokenizer() throws -> Tokenizer {
    if ModelText.isReadable(folder: model.model) {
      return try ModelText(folder: model.model).tokenizer
    }
    return try ModelText(ModelFiles.open(model.path())).tokenizer
  }
}
