// SPDX-License-Identifier: Apache-2.0
// Files of prompts to answer: the data formats without their answers.

import Foundation
public import ReFTHost
public import ReFTTensor
public import ReFTText

/// Reads the prompts of a file.
public enum PromptFile {
  /// A row; which of the texts are there decides what it is.
  private struct Row: Decodable {
    var prompt: String?
    var chat: String?
    var instruction: String?
    var input: String?
    var question: String?
    var messages: [ChatMessage]?
    var ids: [Int32]?
  }

  /// Reads one prompt per line of JSON; answers that stand in the rows too are not looked at.
  ///
  /// - Parameters:
  ///   - path: the file; rows are `{"prompt"}` (as it is), `{"chat"}` or `{"messages"}` (through
  ///     the chat template), `{"instruction","input"}` (through `template`) or `{"ids"}`.
  ///   - template: the wording around instructions.
  ///   - chatTemplate: the model's; only the template `chat` needs it.
  /// - Returns: the prompts, in the order of the file.
  /// - Throws: `inputMissing` without the file; `badData` with file and line for anything wrong in it.
  public static func read(
    path: String,
    template: Template,
    chatTemplate: ChatTemplate?
  ) throws(ReFTError) -> [GenerationRequest.Prompt] {
    let file = try MappedFile(path: path)
    let lines = withExtendedLifetime(file) {
      file.bytes.split(separator: 0x0A, omittingEmptySubsequences: false).map { Data($0) }
    }
    var prompts: [GenerationRequest.Prompt] = []
    for (index, line) in lines.enumerated() {
      if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) { continue }
      let place = "\(path):\(index + 1)"
      guard String(validating: line, as: UTF8.self) != nil else { throw .promptNotText(place) }
      let row: Row
      do {
        row = try JSONDecoder().decode(Row.self, from: line)
      } catch {
        throw .promptNotARow(place, cause: error)
      }
      prompts.append(try prompt(row, place: place, template, chatTemplate))
    }
    guard !prompts.isEmpty else { throw .noPrompts(path) }
    return prompts
  }

  private static func prompt(
    _ row: Row,
    place: String,
    _ template: Template,
    _ chatTemplate: ChatTemplate?
  ) throws(ReFTError) -> GenerationRequest.Prompt {
    if let ids = row.ids { return .ids(ids) }
    if let messages = row.messages {
      let asked = messages.last?.role == "assistant" ? messages.dropLast() : messages[...]
      return .chat(Array(asked))
    }
    if let chat = row.chat { return .chat([ChatMessage(role: "user", content: chat)]) }
    if let instruction = row.instruction ?? row.question {
      return try instructionPrompt(
        instruction,
        input: row.input ?? "",
        template: template,
        chatTemplate: chatTemplate
      )
    }
    if let prompt = row.prompt { return .text(prompt) }
    throw .promptNotARow(place, cause: nil)
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

extension ReFTError {
  static func promptNotText(_ place: String) -> ReFTError {
    ReFTError(.badData, "\(place): the line is not UTF-8; save the file as UTF-8")
  }

  static func promptNotARow(_ place: String, cause: (any Error)?) -> ReFTError {
    ReFTError(
      .badData,
      "\(place): not a prompt; expected one JSON object per line with \"prompt\", \"chat\", "
        + "\"instruction\", \"messages\" or \"ids\"",
      cause: cause
    )
  }

  static func noPrompts(_ path: String) -> ReFTError {
    ReFTError(.badData, "'\(path)' holds no prompt; expected one JSON object per line")
  }
}
