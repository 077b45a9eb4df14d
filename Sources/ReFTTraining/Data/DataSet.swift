// SPDX-License-Identifier: Apache-2.0
// The rows of a file as examples, with an account of what was cut and skipped.

public import ReFTTensor
public import ReFTText

/// The examples of one data file.
public struct DataSet: Sendable {
  /// How a file becomes examples.
  public struct Options: Sendable {
    /// The wording around instructions; none by default.
    public var template: Template = .none
    /// The most tokens of a row; unlimited by default.
    public var maxLength: Int = .max
    /// What happens to longer rows; their end is cut off by default.
    public var overlong: DataOptions.Overlong = .cut
    /// Whether completions end with the end-of-sequence token; true by default.
    public var appendsEndOfSequence = true
    /// Take only the first rows; all by default.
    public var limit: Int?

    /// The defaults.
    public init() {}
  }

  /// What became of the rows.
  public struct Account: Sendable, Equatable {
    /// Rows of the file that were read.
    public var rows = 0
    /// Rows whose end was cut off.
    public var cut = 0
    /// Rows left out, because they were too long or had nothing to learn.
    public var skipped = 0
    /// Tokens of all examples.
    public var tokens = 0
    /// Tokens to learn of all examples.
    public var labels = 0
    /// Keys of the rows that nothing reads.
    public var unread = UnreadKeys()
  }

  /// The file.
  public let path: String
  /// The examples, in the order of the file.
  public private(set) var examples: [Example] = []
  /// The line of each example in the file.
  public private(set) var lines: [Int] = []
  /// What became of the rows.
  public private(set) var account = Account()
  /// The hash of the file's bytes, `sha256:…`.
  public let hash: String

  /// Reads a file.
  ///
  /// - Parameters:
  ///   - path: JSON lines or one JSON list, in any of the formats of the configuration's manual.
  ///   - options: template, lengths, limit.
  ///   - coder: the model's tokenizer.
  ///   - chatTemplate: the model's; only the template `chat` needs it.
  /// - Throws: `inputMissing` without the file; `badData` with file and line for anything wrong in
  ///   it, and when no row has anything to learn.
  public init(
    path: String,
    options: Options = Options(),
    coder: any TextCoding,
    chatTemplate: ChatTemplate?
  ) throws(ReFTError) {
    self.path = path
    let encoder = RowEncoder(
      coder: coder,
      template: options.template,
      chatTemplate: chatTemplate,
      appendsEndOfSequence: options.appendsEndOfSequence
    )
    var (examples, lines, account): ([Example], [Int], Account) = ([], [], Account())
    var reader = try RowReader(path: path)
    while account.rows < options.limit ?? .max, let row = try reader.next() {
      account.rows += 1
      let place = "\(path):\(row.line)"
      let data = try DataRow(
        row,
        path: path,
        purpose: .learning,
        usesChat: options.template == .chat,
        unread: &account.unread
      )
      var example = try encoder.example(data, place: place)
      if example.ids.count > options.maxLength {
        switch options.overlong {
        case .cut:
          account.cut += 1
          example.cut(to: options.maxLength)
        case .skip:
          account.skipped += 1
          continue
        case .error:
          throw .overlongRow(place, count: example.ids.count, maximum: options.maxLength)
        }
      }
      guard example.labelCount > 0 else {
        account.skipped += 1
        continue
      }
      account.tokens += example.ids.count
      account.labels += example.labelCount
      examples.append(example)
      lines.append(row.line)
    }
    hash = "sha256:" + (try reader.finish())
    guard !examples.isEmpty else {
      throw .noLabelsLeft(path: path, rows: account.rows, maximum: options.maxLength)
    }
    (self.examples, self.lines, self.account) = (examples, lines, account)
  }

  /// What is worth a word about the file, in sentences.
  public var warnings: [String] { [account.unread.note(of: account.rows)].compactMap(\.self) }

  /// Where an example was written, as `file:line`.
  public func place(of index: Int) -> String { "\(path):\(lines[index])" }

  /// Splits off a part of the rows, chosen by a seed and not by their order.
  ///
  /// - Parameters:
  ///   - fraction: how many go to the second set: rounded, at least one, and never all.
  ///   - seed: chooses them.
  /// - Returns: the rows that stay, and those split off, both in the order of the file.
  /// - Throws: `badData` when there is only one example.
  public func split(fraction: Double, seed: UInt64) throws(ReFTError) -> (DataSet, DataSet) {
    guard examples.count > 1 else { throw .tooFewToSplit(path: path) }
    let wanted = (Double(examples.count) * fraction).rounded()
    let count = min(max(1, Int(wanted)), examples.count - 1)
    let stream = CounterRandom(key: seed, step: DataOrder.splitStream)
    let chosen = stream.permutation(of: examples.count)
    return (subset(chosen[count...].sorted()), subset(chosen[..<count].sorted()))
  }

  private func subset(_ indices: [Int]) -> DataSet {
    var copy = self
    copy.examples = indices.map { examples[$0] }
    copy.lines = indices.map { lines[$0] }
    copy.account.tokens = copy.examples.reduce(0) { $0 + $1.ids.count }
    copy.account.labels = copy.examples.reduce(0) { $0 + $1.labelCount }
    return copy
  }
}
