// SPDX-License-Identifier: Apache-2.0
// Files of prompts to answer: the data formats without their answers.

public import ReFTTensor
public import ReFTText

/// Reads the prompts of a file.
public enum PromptFile {
  /// One row of it.
  public struct Row: Sendable, Equatable {
    /// Its tokens.
    public var prompt: Prompt
    /// The prompt whose hidden states plugins take; nil: the row has none, or none is read.
    public var source: Prompt?
    /// Which subspace plugins that know several edit it in; nil: the row does not say.
    public var subspace: Int32?

    /// Where it stands, as `file:line`; nil: in no file.
    public var place: String?

    /// Describes a row.
    public init(
      prompt: Prompt,
      source: Prompt? = nil,
      subspace: Int32? = nil,
      place: String? = nil
    ) {
      (self.prompt, self.source, self.subspace) = (prompt, source, subspace)
      self.place = place
    }
  }

  /// Reads the prompts of JSON lines or of one JSON list; answers in the rows are not looked at.
  ///
  /// - Parameters:
  ///   - path: the file; rows are `{"prompt"}` (as it is), `{"chat"}` or `{"messages"}` (through
  ///     the chat template), `{"instruction","input"}` or `{"question"}` (through `template`) or
  ///     `{"ids"}`, each with a `"subspace"` or without.
  ///   - words: turns prompts into tokens.
  ///   - readsSources: whether "source_prompt" is read.
  ///   - warn: receives what is worth a word, in sentences.
  /// - Returns: the prompts, in the order of the file.
  /// - Throws: `inputMissing` without the file; `badData` with file and line for anything wrong in it.
  public static func read(
    path: String,
    words: PromptEncoder,
    readsSources: Bool = false,
    warn: (String) -> Void = { _ in }
  ) throws(ReFTError) -> [Row] {
    var reader = try RowReader(path: path)
    var prompts: [Row] = []
    var unread = UnreadKeys()
    while let row = try reader.next() {
      let data = try DataRow(
        row,
        path: path,
        purpose: .prompting,
        usesChat: words.template == .chat,
        readsSources: readsSources,
        unread: &unread
      )
      let source = try readsSources ? row.sourcePrompt(path: path) : nil
      let subspace = try row.subspace(path: path)
      let place = "\(path):\(row.line)"
      do throws(ReFTError) {
        prompts.append(
          Row(
            prompt: .ids(try words.ids(of: data.prompt)),
            source: try source.map { text throws(ReFTError) in
              .ids(try words.ids(of: .text(text)))
            },
            subspace: subspace,
            place: place
          )
        )
      } catch {
        throw error.at(place)
      }
    }
    if let note = unread.note(of: prompts.count) { warn(note) }
    return prompts
  }
}
