// SPDX-License-Identifier: Apache-2.0
// Files of prompts to answer: the data formats without their answers.

public import ReFTHost
public import ReFTTensor
public import ReFTText

/// Reads the prompts of a file.
public enum PromptFile {
  /// Reads the prompts of JSON lines or of one JSON list; answers in the rows are not looked at.
  ///
  /// - Parameters:
  ///   - path: the file; rows are `{"prompt"}` (as it is), `{"chat"}` or `{"messages"}` (through
  ///     the chat template), `{"instruction","input"}` or `{"question"}` (through `template`) or
  ///     `{"ids"}`.
  ///   - template: the wording around instructions.
  ///   - chatTemplate: the model's; only the template `chat` needs it.
  ///   - warn: receives what is worth a word, in sentences.
  /// - Returns: the prompts, in the order of the file.
  /// - Throws: `inputMissing` without the file; `badData` with file and line for anything wrong in it.
  public static func read(
    path: String,
    template: Template,
    chatTemplate: ChatTemplate?,
    warn: (String) -> Void = { _ in }
  ) throws(ReFTError) -> [GenerationRequest.Prompt] {
    var reader = try RowReader(path: path)
    var prompts: [GenerationRequest.Prompt] = []
    var unread = UnreadKeys()
    while let row = try reader.next() {
      let data = try DataRow(
        row,
        path: path,
        purpose: .prompting,
        usesChat: template == .chat,
        unread: &unread
      )
      prompts.append(try prompt(data, template, chatTemplate))
    }
    if let note = unread.note(of: prompts.count) { warn(note) }
    return prompts
  }

  private static func prompt(
    _ row: DataRow,
    _ template: Template,
    _ chatTemplate: ChatTemplate?
  ) throws(ReFTError) -> GenerationRequest.Prompt {
    switch row {
    case .tokens(let ids, _): return .ids(ids)
    case .messages(let messages): return .chat(messages)
    case .completion(let text, _), .text(let text): return .text(text)
    case .instruction(let instruction, let input, _):
      return try instructionPrompt(
        instruction,
        input: input,
        template: template,
        chatTemplate: chatTemplate
      )
    }
  }

  /// The prompt of one instruction.
  ///
  /// - Throws: `usage` when the template is `chat` and the model has none.
  public static func instructionPrompt(
    _ instruction: String,
    input: String = "",
    template: Template,
    chatTemplate: ChatTemplate?
  ) throws(ReFTError) -> GenerationRequest.Prompt {
    let text = try template.prompt(
      instruction: instruction,
      input: input,
      chatTemplate: chatTemplate
    )
    return .text(text)
  }
}
