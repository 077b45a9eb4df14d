// SPDX-License-Identifier: Apache-2.0
// The rows of a file as examples, with an account of what was cut and skipped.

public import ReFTHost
public import ReFTTensor
public import ReFTText

/// The examples of one data file.
public struct DataSet: Sendable {
  /// How a file becomes examples.
  public struct Options: Sendable {
    /// The wording around instructions that the user chose; nil by default: none was chosen, and
    /// conversations go through the chat template.
    public var template: Template?
    /// The wording around instructions where none was chosen; none by default.
    public var usualTemplate: Template = .none
    /// The most tokens of a row that were asked for; unlimited by default.
    public var maxLength: Int = .max
    /// The most tokens that the model can take; unlimited by default.
    public var contextLength: Int = .max
    /// Whose words a remedy takes; those of a configuration by default.
    public var caller = Caller.configuration
    /// What happens to longer rows; their end is cut off by default.
    public var overlong: DataOptions.Overlong = .cut
    /// Whether completions end with the end-of-sequence token; true by default.
    public var appendsEndOfSequence = true
    /// Take only the first rows; all by default.
    public var limit: Int?
    /// How the file is written; by default a table where its name ends in ".tsv", else JSON.
    public var format: DataFormat?
    /// The head whose labels the rows have; by default none, and tokens are predicted.
    public var head: HeadSpec?
    /// Whether the rows are texts to be looked at, without anything to learn; false by default.
    public var isUnlabelled = false
    /// Whether the rows are pairs of answers, of which one was preferred; false by default.
    public var hasPreferences = false
    /// Whether rows may have a "source_prompt", whose hidden states plugins take; false by default.
    public var readsSources = false

    /// The defaults.
    public init() {}

    /// What the rows are read for.
    var purpose: DataRow.Purpose {
      if hasPreferences { return .comparing }
      return isUnlabelled ? .embedding : head == nil ? .learning : .labelling
    }

    /// The most tokens of a row.
    var longest: Int { min(maxLength, contextLength) }
  }

  /// Who asked for the rows, and so what a user can change.
  public enum Caller: Sendable {
    /// The keys of a run's configuration.
    case configuration
    /// The options of `reft score`.
    case options
  }

  /// What became of the rows.
  public struct Account: Sendable, Equatable {
    /// Rows of the file that were read; of a part of them that was split off, its own.
    public var rows = 0
    /// Rows whose end was cut off.
    public var cut = 0
    /// Rows left out, because they were too long or had nothing to learn.
    public var skipped = 0
    /// Those of the rows left out that had nothing to learn before anything was cut.
    public var unlabelled = 0
    /// Where the first of these is, as `file:line`.
    public var firstUnlabelled = ""
    /// Tokens of all examples.
    public var tokens = 0
    /// Tokens to learn of all examples.
    public var labels = 0
    /// Rows that are conversations.
    public var conversations = 0
    /// Keys of the rows that nothing reads.
    public var unread = UnreadKeys()
  }

  /// The file.
  public let path: String
  /// The examples, in the order of the file.
  public private(set) var examples: [Example] = []
  /// The line of each example in the file.
  public private(set) var lines: [Int] = []
  /// The number of each example among the rows that were read, from 0.
  public private(set) var rowNumbers: [Int] = []
  /// What became of the rows.
  public private(set) var account = Account()
  /// The hash of the file's bytes, `sha256:…`.
  public private(set) var hash = ""
  /// What became of the whole file; nil of a part of it, where the other part tells that.
  private var fileAccount: Account?
  /// The numbers of the rows whose end was cut off.
  private var cutRows: Set<Int> = []
  private let options: Options

  /// Reads a file.
  ///
  /// - Parameters:
  ///   - path: JSON lines or one JSON list, in any of the formats of the configuration's manual.
  ///   - options: template, lengths, limit.
  ///   - coder: the model's tokenizer.
  ///   - chatTemplate: the model's; only conversations and the template `chat` need it.
  /// - Throws: `inputMissing` without the file; `badData` with file and line for anything wrong in
  ///   it, and when no row has anything to learn.
  public init(
    path: String,
    options: Options = Options(),
    coder: any TextCoding,
    chatTemplate: ChatTemplate?
  ) throws(ReFTError) {
    self.path = path
    self.options = options
    let words = PromptEncoder(
      coder: coder,
      chatTemplate: chatTemplate,
      template: options.template,
      usual: options.usualTemplate,
      appendsEndOfSequence: options.appendsEndOfSequence,
      limit: options.longest
    )
    let encoder = RowEncoder(coder: coder, words: words, labels: options.head.map(LabelReader.init))
    var reader = try DataRows(
      path: path,
      format: options.format,
      purpose: options.purpose,
      usesChat: words.template == .chat,
      readsSources: options.readsSources
    )
    while account.rows < options.limit ?? .max, let (row, line) = try reader.next() {
      account.rows += 1
      if case .messages = row { account.conversations += 1 }
      var example = try encoder.example(row, place: "\(path):\(line)")
      if let source = reader.source {
        example.sourceIds = try encoder.source(source, place: "\(path):\(line)")
      }
      example.subspace = reader.subspace
      try add(example, line: line)
    }
    account.unread = reader.unread
    fileAccount = account
    hash = "sha256:" + (try reader.finish())
    guard !examples.isEmpty else { throw .noLabelsLeft(path: path, account, options) }
  }

  /// Takes an example in, as much of it as the options allow.
  private mutating func add(_ example: Example, line: Int) throws(ReFTError) {
    var example = example
    let needsWork = !options.isUnlabelled
    if example.isCut || example.longestCount > options.longest {
      switch options.overlong {
      case .cut:
        account.cut += 1
        cutRows.insert(account.rows - 1)
        example.cut(to: options.longest)
      case .skip:
        account.skipped += 1
        return
      case .error:
        throw .overlongRow("\(path):\(line)", options)
      }
    } else if needsWork, example.labelCount == 0 {
      if account.unlabelled == 0 { account.firstUnlabelled = "\(path):\(line)" }
      account.unlabelled += 1
    }
    if needsWork, example.labelCount == 0 {
      account.skipped += 1
      return
    }
    account.tokens += example.tokenCount
    account.labels += example.labelCount
    examples.append(example)
    lines.append(line)
    rowNumbers.append(account.rows - 1)
  }

  /// What is worth a word about the file, in sentences.
  public var warnings: [String] {
    guard let file = fileAccount else { return [] }
    return [file.unread.note(of: file.rows), unlabelledNote(file), lengthNote(file)]
      .compactMap(\.self)
  }

  private func unlabelledNote(_ account: Account) -> String? {
    guard account.unlabelled > 0 else { return nil }
    return
      "\(account.firstUnlabelled): \(account.unlabelled) of \(account.rows) rows have no token to "
      + "learn, this one the first; they are left out"
  }

  /// What the rows lost to their length.
  private func lengthNote(_ account: Account) -> String? {
    let skipped = account.skipped - account.unlabelled
    guard account.cut + skipped > 0 else { return nil }
    return
      "\(path): of \(account.rows) rows, \(account.cut) were cut to \(options.longest) tokens and "
      + "\(skipped) left out; \(options.lengthOrigin)"
  }

  /// Where an example was written, as `file:line`.
  public func place(of index: Int) -> String { "\(path):\(lines[index])" }

  /// Splits off a part of the rows, chosen by a seed and not by their order.
  ///
  /// - Parameters:
  ///   - fraction: how many go to the second set: rounded, at least one, and never all.
  ///   - seed: chooses them.
  /// - Returns: the rows that stay, and those split off, both in the order of the file. Rows that were
  ///   left out count with those that stay, which tell what is worth a word about the file.
  /// - Throws: `badData` when there is only one example.
  public func split(fraction: Double, seed: UInt64) throws(ReFTError) -> (DataSet, DataSet) {
    guard examples.count > 1 else { throw .tooFewToSplit(path: path) }
    let wanted = (Double(examples.count) * fraction).rounded()
    let count = min(max(1, Int(wanted)), examples.count - 1)
    let stream = CounterRandom(key: seed, step: DataOrder.splitStream)
    let chosen = stream.permutation(of: examples.count)
    let part = subset(chosen[..<count].sorted())
    var rest = subset(chosen[count...].sorted())
    rest.account = account
    rest.account.rows -= part.account.rows
    rest.account.cut -= part.account.cut
    rest.account.tokens -= part.account.tokens
    rest.account.labels -= part.account.labels
    rest.fileAccount = fileAccount
    return (rest, part)
  }

  private func subset(_ indices: [Int]) -> DataSet {
    var copy = self
    copy.examples = indices.map { examples[$0] }
    copy.lines = indices.map { lines[$0] }
    copy.rowNumbers = indices.map { rowNumbers[$0] }
    copy.fileAccount = nil
    copy.account = Account()
    copy.account.rows = indices.count
    copy.account.cut = copy.rowNumbers.count { cutRows.contains($0) }
    copy.account.conversations = account.conversations
    copy.account.tokens = copy.examples.reduce(0) { $0 + $1.tokenCount }
    copy.account.labels = copy.examples.reduce(0) { $0 + $1.labelCount }
    return copy
  }
}

extension DataSet.Options {
  /// Whether the model's context and not the user's wish bounds the rows.
  private var isBoundByContext: Bool { contextLength < maxLength }

  /// What bounds the rows, and what can be done about it.
  fileprivate var lengthOrigin: String {
    switch (caller, isBoundByContext) {
    case (.configuration, false): "see 'data.max_length' and 'data.overlong'"
    case (.options, false): "see --max-length"
    case (_, true): "the model's context holds no more"
    }
  }

  /// What a row may have, as it follows "more than 96 tokens, ".
  var lengthBound: String {
    switch (caller, isBoundByContext) {
    case (.configuration, false): "the most that 'data.max_length' allows"
    case (.options, false): "the most that --max-length allows"
    case (_, true): "the most that the model's context holds"
    }
  }

  /// What to do about a row that is too long.
  var lengthRemedy: String {
    switch (caller, isBoundByContext) {
    case (.configuration, false): "raise it, or take 'data.overlong: cut' or 'skip'"
    case (.configuration, true): "shorten the row, or take 'data.overlong: cut' or 'skip'"
    case (.options, false): "raise it, or shorten the row"
    case (.options, true): "shorten the row, or cut it with --max-length \(contextLength)"
    }
  }
}
