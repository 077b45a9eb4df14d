// SPDX-License-Identifier: Apache-2.0
// Tables of texts with labels: those of GLUE that mostly read, damaged, or grown.

import Foundation
import ReFTHost
import ReFTTensor
import ReFTTraining

/// Makes tables, and reads them for a head.
public struct TableFuzz: FuzzReader {
  /// The name on the command line.
  public static let name = "tsv"

  private let file = FuzzFolder()

  /// Makes a reader.
  public init() {}

  private static let headers = [
    "sentence\tlabel", "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
    "index\tsentence1\tsentence2\tlabel", "index\tquestion\tsentence\tlabel",
    "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
    "index\tsentence1\tsentence2\tlabel1\tgold_label", "label\tsentence", "a\tb\tc",
  ]
  private static let cells = [
    "a", "", " ", "it 's \"fine\"", "é", "😀", "\u{0}", "a\u{0301}", "1", "0", "NaN", "-0.0",
    "1e999",
    "entailment", "9223372036854775808", "0x10", "\u{FEFF}", "\r",
    String(repeating: "x", count: 99),
  ]

  /// Makes one table.
  public func makeInput(_ random: inout FuzzRandom) -> [UInt8] {
    let isCola = random.once(in: 5)
    let header = random.pick(Self.headers)
    let names = isCola ? ["s", "0", "", "text"] : header.split(separator: "\t").map(String.init)
    var lines = isCola ? [] : [header]
    for _ in 0..<1 + random.below(6) {
      let cells = names.map { name in
        let isLabel = isCola ? name == "0" : ["label", "Quality", "is_duplicate"].contains(name)
        guard isLabel, !random.once(in: 12) else { return random.pick(Self.cells) }
        return random.pick(["0", "1"])
      }
      lines.append(cells.joined(separator: "\t") + (random.once(in: 12) ? "\tmore" : ""))
      if random.once(in: 20) { lines.append("") }
    }
    let start = random.pick(["", "", "", "\u{FEFF}", "\n"])
    let bytes = [UInt8]((start + lines.joined(separator: random.pick(["\n", "\r\n"]))).utf8)
    return random.once(in: 2) ? FuzzMutation.mutate(bytes, &random) : bytes
  }

  /// Reads a table for a head.
  public func read(_ input: [UInt8]) throws {
    let path = try file.write(input, to: "rows.tsv")
    var options = DataSet.Options()
    options.maxLength = 64
    options.head = HeadSpec(
      task: .classification,
      labels: LabelSet(count: 2),
      pooling: .first
    )
    do {
      var survey = options
      survey.isUnlabelled = true
      _ = try DataSet(path: path, options: survey, coder: ByteCoding(), chatTemplate: nil)
    } catch {
      // What was wrong has been said; the labels are read on their own.
    }
    _ = try DataSet(path: path, options: options, coder: ByteCoding(), chatTemplate: nil)
  }
}
