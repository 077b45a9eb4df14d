// SPDX-License-Identifier: Apache-2.0
// From a row to tokens and labels; the words go the way that prompts go, through PromptEncoder.

import ReFTTensor
import ReFTText

/// Turns rows into examples.
struct RowEncoder {
  let coder: any TextCoding
  let words: PromptEncoder

  /// The tokens and labels of a row; prompt and completion are tokenised apart.
  ///
  /// - Throws: `badData` with the place for foreign tokens, and for conversations that the model or the
  ///   chosen template has no form for; `badConfiguration` where an end-of-sequence token is missing.
  func example(_ row: DataRow, place: String) throws(ReFTError) -> Example {
    if case .tokens(let ids, let labels) = row {
      return try tokens(ids: ids, labels: labels, place: place)
    }
    let encoded: EncodedText
    do throws(ReFTError) {
      switch row {
      case .text(let text):
        encoded = try words.encode(text: text)
        guard !encoded.ids.isEmpty else {
          throw ReFTError(.badData, "\"text\" is empty; remove the row")
        }
      default: encoded = try words.encode(row.prompt, answer: row.answer)
      }
    } catch {
      throw error.at(place)
    }
    return Example(encoded)
  }

  private func tokens(
    ids: [Int32],
    labels: [Int32],
    place: String
  ) throws(ReFTError) -> Example {
    let range = 0..<Int32(clamping: coder.vocabularySize)
    if let id = ids.first(where: { !range.contains($0) }) {
      throw .foreignToken(place, "ids", id: id, size: coder.vocabularySize)
    }
    if let id = labels.first(where: { !range.contains($0) && $0 != Example.noLabel }) {
      throw .foreignToken(place, "labels", id: id, size: coder.vocabularySize)
    }
    let prompt = labels.prefix { $0 == Example.noLabel }.count
    return Example(ids: ids, labels: labels, promptLength: prompt)
  }
}

extension DataRow {
  /// What the model is asked.
  var prompt: Prompt {
    switch self {
    case .completion(let prompt, _): .text(prompt)
    case .instruction(let instruction, let input, _): .instruction(instruction, input: input)
    case .messages(let messages):
      .chat(messages.last?.role == "assistant" ? messages.dropLast() : messages)
    case .text(let text): .text(text)
    case .tokens(let ids, _): .ids(ids)
    }
  }

  /// What it must answer; empty in rows that are read for their prompts.
  var answer: String {
    switch self {
    case .completion(_, let completion): completion
    case .instruction(_, _, let output): output
    case .messages(let messages):
      messages.last?.role == "assistant" ? messages.last?.content ?? "" : ""
    case .text, .tokens: ""
    }
  }
}

extension ReFTError {
  /// The error as one of a row: it is the data that does not fit, wherever that showed.
  func at(_ place: String) -> ReFTError {
    guard code == .usage || code == .badData else { return self }
    return .wrongRow(place, message)
  }
}
