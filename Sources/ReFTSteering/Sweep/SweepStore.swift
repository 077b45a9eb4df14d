// SPDX-License-Identifier: Apache-2.0
// results.jsonl: what a sweep is of, and a line for each setting that is done. A sweep that was
// ended goes on where it was.

import Foundation
public import ReFTTensor

/// The results of a sweep, in a file.
public final class SweepStore {
  /// What the sweep is of; results of two sweeps mix only where these are equal.
  public let facts: [String: String]
  /// The settings that are done, in the order in which they were.
  public private(set) var results: [SteeringResult] = []
  private let path: String

  /// The first line.
  struct Header: Codable {
    var sweep: [String: String]
  }

  /// The name of the file in its folder.
  public static let fileName = "results.jsonl"
  /// The most bytes of such a file.
  static let limit = 256 << 20

  /// Opens a folder, which is made where it is missing.
  ///
  /// - Parameters:
  ///   - folder: the folder.
  ///   - facts: what the sweep is of.
  ///   - restarts: whether all that a sweep left there is dropped: results, report and adapter.
  /// - Throws: `usage` for results of another sweep, and for files there that are of none; `badData`
  ///   with the line for one that is none of results; `inputOutput` where the system refuses.
  public init(
    folder: String,
    facts: [String: String],
    restarts: Bool = false
  ) throws(ReFTError) {
    path = folder + "/" + Self.fileName
    self.facts = facts
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw .sweepFolder(folder, cause: error)
    }
    let place = SweepFolder(folder)
    try place.checkOwnership()
    if restarts { try place.drop() }
    if FileManager.default.fileExists(atPath: path) { results = try read() }
  }

  private func read() throws(ReFTError) -> [SteeringResult] {
    let bytes = try TextFile.bytes(path: path, limit: Self.limit)
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    var results: [SteeringResult] = []
    for (index, line) in lines.enumerated() where !line.isEmpty {
      let place = "\(path):\(index + 1)"
      do {
        if index == 0 {
          try check(try JSONDecoder().decode(Header.self, from: Data(line)).sweep)
        } else {
          results.append(try JSONDecoder().decode(SteeringResult.self, from: Data(line)))
        }
      } catch let error as ReFTError {
        throw error
      } catch {
        // A line that was being written when the process ended has no end.
        if index == lines.count - 1, index > 0 { break }
        throw .sweepLine(place, cause: error)
      }
    }
    return results
  }

  private func check(_ found: [String: String]) throws(ReFTError) {
    let keys = Set(found.keys).union(facts.keys).sorted()
    guard let key = keys.first(where: { found[$0] != facts[$0] }) else { return }
    throw .otherSweep(path, key: key, found: found[key], expected: facts[key])
  }

  /// Adds results; they are on the disk when the call returns.
  ///
  /// - Throws: `inputOutput` where the system refuses; the file is then as it was.
  public func append(_ more: [SteeringResult]) throws(ReFTError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    var text = Data()
    do {
      text += try encoder.encode(Header(sweep: facts)) + Data("\n".utf8)
      for result in results + more { text += try encoder.encode(result) + Data("\n".utf8) }
    } catch {
      throw .sweepNumbers(more, cause: error)
    }
    try AtomicFile.write(text, to: path)
    results += more
  }
}

extension ReFTError {
  fileprivate static func sweepFolder(_ folder: String, cause: any Error) -> ReFTError {
    ReFTError(
      .inputOutput,
      "--output '\(folder)' cannot be made: \(cause.localizedDescription); choose another folder",
      cause: cause
    )
  }

  fileprivate static func sweepLine(_ place: String, cause: any Error) -> ReFTError {
    ReFTError(
      .badData,
      "\(place): no line of a sweep's results; give another --output, or --restart to begin anew",
      cause: cause
    )
  }

  fileprivate static func otherSweep(
    _ path: String,
    key: String,
    found: String?,
    expected: String?
  ) -> ReFTError {
    ReFTError(
      .usage,
      "'\(path)' holds results of another sweep: its \(key.shown()) is "
        + "'\((found ?? "none").shown())', "
        + "here '\((expected ?? "none").shown())'; give another --output, or --restart to begin "
        + "anew"
    )
  }

  fileprivate static func sweepNumbers(
    _ results: [SteeringResult],
    cause: any Error
  ) -> ReFTError {
    ReFTError(
      .badData,
      "steered by these strengths the model's output is no number; take weaker --strengths",
      cause: cause
    )
  }
}
