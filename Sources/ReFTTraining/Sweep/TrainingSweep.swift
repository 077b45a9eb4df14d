// SPDX-License-Identifier: Apache-2.0
// A sweep: many runs that differ from one configuration in a few values. Reading the file is in
// `TrainingSweep+Reading`, drawing values in `TrainingSweep+Draws`, running in `SweepRunner`.

import Foundation
import ReFTTensor

/// The runs of a sweep file.
public struct TrainingSweep: Sendable {
  /// One run.
  public struct Run: Sendable {
    /// Its name, which is that of its folder.
    public var name: String
    /// The values that it has and others have not, by their short names; the variant first.
    public var settings: [Setting]
    /// Its seed, where the sweep names seeds.
    public var seed: UInt64?
    /// All of it.
    public var configuration: RunConfiguration

  }

  /// A value that differs between runs.
  public struct Setting: Sendable, Equatable, Codable {
    /// The key's last word, or the whole key where two end alike.
    public var name: String
    /// The value as it was written or drawn.
    public var value: String
  }

  /// A task to evaluate after each run.
  public struct Task: Sendable, Equatable {
    /// Its name, or its file.
    public var name: String
    /// The file of rows, in place of the task's own.
    public var data: String?
    /// Take only the first rows.
    public var limit: Int?
    /// How many answered rows are shown before each.
    public var shots: Int?
    /// Where it was written, as `file:line:column`.
    public var place: String?

    /// What tells it apart from others, in results.
    var key: String {
      [data.map { "data=\($0)" }, limit.map { "limit=\($0)" }, shots.map { "shots=\($0)" }]
        .compactMap(\.self).reduce(name) { $0 + " " + $1 }
    }
  }

  /// The sweep file.
  public var path: String
  /// The folder of the sweep.
  public var output: String
  /// The measure that the table is sorted by; nil: the usual one of the runs.
  public var metric: String?
  /// Where that was written, as `file:line:column`; nil where it was not.
  public var metricPlace: String?
  /// What each run is evaluated on.
  public var tasks: [Task]
  /// The runs: variants outermost, seeds innermost.
  public var runs: [Run]

  /// The most runs of a sweep.
  static let mostRuns = 10_000

  /// The name of the file with a line for each run.
  static let resultsName = "results.jsonl"
  /// Where that file lies.
  public var resultsFile: String { output + "/" + Self.resultsName }
  /// The table as people read it.
  public var tableFile: String { output + "/table.md" }
}

/// A name for a folder: plain characters, of bounded length, unlike others.
enum RunName {
  private static let longest = 120

  /// Names for lists of settings, in their order.
  static func names(_ lists: [[TrainingSweep.Setting]]) -> [String] {
    var seen: Set<String> = []
    return lists.map { list in
      let words = list.map { $0.name == "variant" ? $0.value : "\($0.name)=\($0.value)" }
      let text = words.isEmpty ? "run" : words.joined(separator: ",")
      var name = plain(text)
      if name != text || name.count > longest || !seen.insert(name).inserted {
        let hash = SHA256Digest.hex(of: text.utf8).prefix(8)
        name = name.prefix(longest - 9) + "-" + hash
        seen.insert(name)
      }
      return name
    }
  }

  /// The text with everything else replaced; no name begins with a dot.
  private static func plain(_ text: String) -> String {
    let characters = text.unicodeScalars.map { scalar -> Character in
      let isPlain =
        scalar.isASCII
        && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
          || "._=+-,".unicodeScalars.contains(scalar))
      return isPlain ? Character(scalar) : "_"
    }
    let name = String(characters)
    return name.hasPrefix(".") || name.hasPrefix("-") ? "_" + name : name
  }
}
