// SPDX-License-Identifier: Apache-2.0
// Tables whose cells may be quoted, many of them wrongly.

import ReFTTraining

/// Makes tables with commas, and takes them apart.
public struct DelimitedFuzz: FuzzReader {
  /// The name on the command line.
  public static let name = "csv"

  /// Makes a reader.
  public init() {}

  private static let cells = [
    "a", "", " ", "\"\"", "\"a,b\"", "\"a\nb\"", "\"a \"\"b\"\"\"", "\"\"\"\"", "é", "😀", "\u{0}",
    "\r",
    "a\"b", "\"a\r\n\"", String(repeating: "x", count: 99),
  ]
  private static let broken = ["\"", "\"a\"b", "\"a", "\" \" \"", "\"\"\""]

  /// Makes one table.
  public func makeInput(_ random: inout FuzzRandom) -> [UInt8] {
    let lines = (0..<1 + random.below(6)).map { _ in
      (0..<1 + random.below(4)).map { _ in
        random.once(in: 40) ? random.pick(Self.broken) : random.pick(Self.cells)
      }.joined(separator: ",")
    }
    let bytes = [UInt8](lines.joined(separator: random.pick(["\n", "\r\n", "\n\n"])).utf8)
    return random.once(in: 3) ? FuzzMutation.mutate(bytes, &random) : bytes
  }

  /// Takes a table apart, with quotes and without.
  public func read(_ input: [UInt8]) throws {
    for form in [DelimitedText.Form.plain, .commas] {
      var table = DelimitedText(input, path: "rows", form: form)
      while try table.next() != nil {}
    }
  }
}
