// SPDX-License-Identifier: Apache-2.0
// Keys of rows that nothing reads: which of them are errors, and an account of the others.

import ReFTTensor

/// An account of the keys of a file that nothing reads.
public struct UnreadKeys: Sendable, Equatable {
  static let shownCount = 8

  /// How many rows have such keys.
  public private(set) var rows = 0
  /// The first few of the keys, in the order of the file.
  public private(set) var keys: [String] = []
  /// Where the first row with such a key is, as `file:line`.
  public private(set) var place = ""

  mutating func count(_ others: [String], place: String) {
    if rows == 0 { self.place = place }
    rows += 1
    for key in others where keys.count < Self.shownCount && !keys.contains(key) {
      keys.append(key)
    }
  }

  /// The account in a sentence; nil when there is nothing to tell.
  func note(of rowCount: Int) -> String? {
    guard rows > 0 else { return nil }
    let shown = keys.map { "\"\($0.shown(40))\"" }.joined(separator: ", ")
    return
      "\(place): \(rows) of \(rowCount) rows have keys that nothing reads, this one the first: "
      + shown
  }

  private static let asMessages = "write the row as {\"messages\"}, or take the template 'chat'"
  private static let asPreference =
    "set 'train.objective' to dpo or margin to learn from preferences, or remove it"
  private static let noTools = "this program knows no tools; remove it"
  private static let noMedia = "this program reads text alone; remove it"

  /// Keys of rows that would change what the model sees, each with what to do about it.
  static let remedies: [String: String] = [
    "history": asMessages, "system": asMessages, "system_prompt": asMessages,
    "input": "only {\"instruction\",\"input\",\"output\"} has an input; write it into the prompt",
    "context": "write it into the prompt, or as the \"input\" of an \"instruction\"",
    "tools": noTools, "functions": noTools, "tool_calls": noTools, "tool_call_id": noTools,
    "function_call": noTools, "tool_choice": noTools,
    "image": noMedia, "images": noMedia, "audio": noMedia, "audios": noMedia, "video": noMedia,
    "videos": noMedia,
    "chosen": asPreference, "rejected": asPreference,
    "weight": "all rows weigh the same; remove it",
  ]

  private static let intoContent = "write it into \"content\", or remove it"

  /// The same for keys of messages.
  static let messageRemedies: [String: String] = [
    "name": intoContent, "tool_calls": noTools, "tool_call_id": noTools, "function_call": noTools,
    "tools": noTools, "functions": noTools, "reasoning": intoContent,
    "reasoning_content": intoContent, "thinking": intoContent, "prefix": intoContent,
    "image": noMedia, "images": noMedia, "audio": noMedia, "video": noMedia, "videos": noMedia,
    "weight": "the last message alone is learnt; remove it",
  ]
}
