// SPDX-License-Identifier: Apache-2.0
// From a row to tokens and labels; the words go the way that prompts go, through PromptEncoder.

package import ReFTTensor
import ReFTText

/// Turns rows into examples.
struct RowEncoder {
  let coder: any TextCoding
  let words: PromptEncoder
  /// Reads the labels of a head; nil where there is none.
  var labels: LabelReader?

  /// The tokens and labels of a row; prompt and completion are tokenised apart.
  ///
  /// - Throws: `badData` with the place for foreign tokens, and for conversations that the model or the
  ///   chosen template has no form for; `badConfiguration` where an end-of-sequence token is missing.
  func example(_ row: DataRow, place: String) throws(ReFTError) -> Example {
    switch row {
    case .tokens(let ids, let labels): return try tokens(ids: ids, labels: labels, place: place)
    case .labelledTokens(let ids, let label):
      try check(ids, "ids", place: place)
      return Example(ids: ids, target: try target(label, place: place))
    case .preference(let prompt, let chosen, let rejected):
      return try preference(prompt, chosen, rejected, place: place)
    case .labelled(let text, let pair, let label):
      return try framed(text, pair, target: try target(label, place: place), place: place)
    default: break
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

  /// A prompt with each of two answers.
  private func preference(
    _ prompt: Prompt,
    _ chosen: String,
    _ rejected: String,
    place: String
  ) throws(ReFTError) -> Example {
    do throws(ReFTError) {
      var example = Example(try words.encode(prompt, answer: chosen))
      let other = try words.encode(prompt, answer: rejected)
      example.rejected = Example.Answer(ids: other.ids, labels: other.labels)
      return example
    } catch {
      throw error.at(place)
    }
  }

  /// What a head must answer; nil where no labels are read.
  private func target(_ label: LabelValue?, place: String) throws(ReFTError) -> Target? {
    guard let labels, let label else { return nil }
    return try labels.target(label, place: place)
  }

  /// A text, or two, as an encoder reads them.
  private func framed(
    _ text: String,
    _ pair: String?,
    target: Target?,
    place: String
  ) throws(ReFTError) -> Example {
    let encoded: EncodedPair
    do throws(ReFTError) {
      encoded = try words.encode(text: text, pair: pair)
    } catch {
      throw error.at(place)
    }
    guard !encoded.ids.isEmpty else {
      throw .wrongRow(place, "\"text\" is empty; remove the row")
    }
    var example = Example(ids: encoded.ids, target: target)
    if encoded.types.contains(where: { $0 != 0 }) { example.types = encoded.types }
    example.isCut = encoded.isCut
    return example
  }

  private func check(
    _ ids: [Int32],
    _ key: String,
    place: String
  ) throws(ReFTError) {
    let range = 0..<Int32(clamping: coder.vocabularySize)
    let isFine = { (id: Int32) in range.contains(id) || (key == "labels" && id == Example.noLabel) }
    guard let id = ids.first(where: { !isFine($0) }) else { return }
    throw .foreignToken(place, key, id: id, size: coder.vocabularySize)
  }

  private func tokens(
    ids: [Int32],
    labels: [Int32],
    place: String
  ) throws(ReFTError) -> Example {
    try check(ids, "ids", place: place)
    try check(labels, "labels", place: place)
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
    case .preference(let prompt, _, _): prompt
    case .tokens(let ids, _), .labelledTokens(let ids, _): .ids(ids)
    case .labelled(let text, _, _): .text(text)
    }
  }

  /// What it must answer; empty in rows that are read for their prompts.
  var answer: String {
    switch self {
    case .completion(_, let completion): completion
    case .instruction(_, _, let output): output
    case .messages(let messages):
      messages.last?.role == "assistant" ? messages.last?.content ?? "" : ""
    case .preference(_, let chosen, _): chosen
    case .text, .tokens, .labelled, .labelledTokens: ""
    }
  }
}

extension ReFTError {
  /// The error as one of a row: it is the data that does not fit, wherever that showed.
  package func at(_ place: String) -> ReFTError {
    guard code == .usage || code == .badData else { return self }
    return .wrongRow(place, message)
  }
}
