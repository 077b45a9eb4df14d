// SPDX-License-Identifier: Apache-2.0
// What becomes of each row, as files of JSON lines that grow as rows are done, so that an evaluation that
// was ended goes on where it was.

import Foundation
public import ReFTTensor

/// The folder of an evaluation's outputs.
///
/// It holds `evaluation.json`, what was asked of whom; for each task and contender
/// `outputs-TASK-CONTENDER.jsonl`; and at the end `results.json`.
public final class OutcomeStore {
  /// The folder.
  public let folder: String
  private let facts: [String: String]
  private let isResumed: Bool
  private var task = ""
  private var descriptors: [Int32] = []
  private var paths: [String] = []

  /// Opens a folder.
  ///
  /// - Parameters:
  ///   - folder: made where it is not there.
  ///   - facts: what must be the same when it goes on, in words, by name.
  ///   - resumes: whether to go on with what is there.
  /// - Throws: `usage` where a folder holds something and is not to go on, or goes on with something
  ///   else; `inputOutput` where it cannot be written.
  public init(folder: String, facts: [String: String], resumes: Bool) throws(ReFTError) {
    self.folder = folder
    self.facts = facts
    isResumed = resumes
    try makeFolder()
    let path = folder + "/evaluation.json"
    let isThere = FileManager.default.fileExists(atPath: path)
    if resumes, isThere {
      let old: [String: String] = try JSONFile.decode(path: path)
      let changed = facts.keys.sorted().filter { old[$0] != facts[$0] }
      guard changed.isEmpty else { throw .otherEvaluation(folder, changed) }
      return
    }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    guard names.isEmpty else { throw .evaluationFolderTaken(folder, names.sorted()[0]) }
    try Self.write(facts, to: path)
  }

  deinit { closeAll() }

  private func makeFolder() throws(ReFTError) {
    do {
      try FileManager.default.createDirectory(
        atPath: folder,
        withIntermediateDirectories: true
      )
    } catch {
      throw ReFTError(
        .inputOutput,
        "cannot make '\(folder)'; check the disk and permissions",
        cause: error
      )
    }
  }

  private func closeAll() {
    for descriptor in descriptors where descriptor >= 0 { close(descriptor) }
    descriptors = []
  }

  /// The file of a task's outputs for a contender.
  public func path(task: String, contender: String) -> String {
    "\(folder)/outputs-\(Self.fileName(task))-\(Self.fileName(contender)).jsonl"
  }

  private static func fileName(_ text: String) -> String {
    String(text.map { $0.isLetter || $0.isNumber || "-_.".contains($0) ? $0 : "-" })
  }

  // MARK: Rows

  /// Begins a task, and tells what an earlier run has done of it.
  func begin(
    _ task: TaskFile,
    _ contenders: [Contender],
    hash: String
  ) throws(ReFTError) -> [Int: [Int: RowOutcome]] {
    closeAll()
    paths = contenders.map { path(task: task.name, contender: $0.name) }
    guard Set(paths).count == paths.count else {
      throw ReFTError(.usage, "two adapters have the same name; evaluate them into two folders")
    }
    try checkRows(task, hash)
    var done: [Int: [Int: RowOutcome]] = [:]
    for (number, path) in paths.enumerated() {
      let outcomes = try Self.read(path)
      for outcome in outcomes { done[number, default: [:]][outcome.row] = outcome }
      // Half a line of a killed run is gone now.
      try Self.write(outcomes, to: path)
      let descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
      guard descriptor >= 0 else { throw .cannotWriteOutcomes(path) }
      descriptors.append(descriptor)
    }
    return done
  }

  /// Makes sure that rows and wording are those of the run that goes on.
  private func checkRows(_ task: TaskFile, _ hash: String) throws(ReFTError) {
    let path = "\(folder)/task-\(Self.fileName(task.name)).json"
    let now = [
      "rows": hash, "task": "sha256:" + SHA256Digest.hex(of: task.source.utf8),
    ]
    if FileManager.default.fileExists(atPath: path) {
      let old: [String: String] = try JSONFile.decode(path: path)
      let changed = now.keys.sorted().filter { old[$0] != now[$0] }
      guard changed.isEmpty else { throw .otherEvaluation(folder, changed) }
    }
    try Self.write(now, to: path)
  }

  /// Adds what became of a row.
  func append(_ outcome: RowOutcome, contender: Int) throws(ReFTError) {
    var rest = Array(try Self.line(outcome).utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Foundation.write(descriptors[contender], $0.baseAddress, $0.count)
      }
      if count < 0 {
        if errno == EINTR { continue }
        throw .cannotWriteOutcomes(paths[contender])
      }
      rest = rest.dropFirst(count)
    }
  }

  /// Ends a contender's file: all rows in their order.
  func finish(_ outcomes: [RowOutcome], contender: Int) throws(ReFTError) {
    try Self.write(outcomes, to: paths[contender])
  }

  /// Writes the replies of a contender for another program's judge, as Alpaca-Eval reads them.
  ///
  /// - Returns: the file.
  func writeReplies(
    _ replies: [JudgedReply],
    task: String,
    contender: String
  ) throws(ReFTError) -> String {
    let path = "\(folder)/\(Self.fileName(task))-\(Self.fileName(contender)).json"
    let encoder = Self.encoder()
    encoder.outputFormatting.insert(.prettyPrinted)
    let data: Data
    do {
      data = try encoder.encode(replies)
    } catch {
      throw ReFTError(.internalFault, "replies that are no JSON", cause: error)
    }
    try AtomicFile.write(data, to: path)
    return path
  }

  // MARK: Files

  private static func encoder() -> JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return encoder
  }

  private static func line(_ outcome: RowOutcome) throws(ReFTError) -> String {
    do {
      return String(decoding: try encoder().encode(outcome), as: UTF8.self) + "\n"
    } catch {
      throw ReFTError(.internalFault, "an outcome that is no JSON", cause: error)
    }
  }

  private static func write(_ outcomes: [RowOutcome], to path: String) throws(ReFTError) {
    var text = ""
    for outcome in outcomes { text += try line(outcome) }
    try AtomicFile.write(text, to: path)
  }

  private static func write(_ facts: [String: String], to path: String) throws(ReFTError) {
    let encoder = encoder()
    encoder.outputFormatting.insert(.prettyPrinted)
    do {
      try AtomicFile.write(try encoder.encode(facts), to: path)
    } catch let error as ReFTError {
      throw error
    } catch {
      throw ReFTError(.internalFault, "facts that are no JSON", cause: error)
    }
  }

  /// The whole lines of a file; none where it is not there.
  private static func read(_ path: String) throws(ReFTError) -> [RowOutcome] {
    guard let data = FileManager.default.contents(atPath: path) else { return [] }
    var outcomes: [RowOutcome] = []
    let lines = data.split(separator: 0x0A)
    for (index, line) in lines.enumerated() {
      do throws(ReFTError) {
        outcomes.append(try JSONFile.decode(Array(line), path: path))
      } catch {
        // Only the last line can be torn by a kill.
        guard index == lines.count - 1, data.last != 0x0A else { throw error }
      }
    }
    return outcomes
  }
}

/// A reply in the file that Alpaca-Eval's judge reads.
struct JudgedReply: Encodable {
  var instruction: String
  var output: String
  var generator: String
  var dataset: String
}

extension ReFTError {
  static func evaluationFolderTaken(_ folder: String, _ name: String) -> ReFTError {
    ReFTError(
      .usage,
      "the folder '\(folder)' holds '\(name)'; name another with --output, or go on with --resume"
    )
  }

  static func otherEvaluation(_ folder: String, _ changed: [String]) -> ReFTError {
    ReFTError(
      .usage,
      "the evaluation in '\(folder)' is another: \(changed.joined(separator: ", ")) changed; name "
        + "another folder with --output"
    )
  }

  static func cannotWriteOutcomes(_ path: String) -> ReFTError {
    ReFTError(
      .inputOutput,
      "cannot write '\(path)': \(String(cString: strerror(errno))); check the disk and permissions"
    )
  }
}
