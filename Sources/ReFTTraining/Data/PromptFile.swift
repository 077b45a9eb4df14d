// SPDX-License-Identifier: Apache-2.0
// Files of prompts to answer: the data formats without their answers.

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
  ///   - words: turns prompts into tokens.
  ///   - warn: receives what is worth a word, in sentences.
  /// - Returns: the tokens of the prompts, in the order of the file.
  /// - Throws: `inputMissing` without the file; `badData` with file and line for anything wrong in it.
  public static func read(
    path: String,
    words: PromptEncoder,
    warn: (String) -> Void = { _ in }
  ) throws(ReFTError) -> [Prompt] {
    var reader = try RowReader(path: path)
    var prompts: [Prompt] = []
    var unread = UnreadKeys()
    while let row = try reader.next() {
      let data = try DataRow(
        row,
        path: path,
        purpose: .prompting,
        usesChat: words.template == .chat,
        unread: &unread
      )
      do throws(ReFTError) {
        prompts.append(.ids(try words.ids(of: data.prompt)))
      } catch {
        throw error.at("\(path):\(row.line)")
      }
    }
    if let note = unread.note(of: prompts.count) { warn(note) }
    return prompts
  }
}
