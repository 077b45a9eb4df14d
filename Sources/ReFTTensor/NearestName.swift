// SPDX-License-Identifier: Apache-2.0
// "Did you mean …": the known name that is nearest to a mistyped one.

/// Finds the name that somebody probably meant.
public enum NearestName {
  /// The nearest of the known names, if one is near enough to be a slip of the fingers.
  public static func find(_ name: String, in known: [String]) -> String? {
    guard name.utf8.count <= 256 else { return nil }
    let limit = max(1, name.count / 3)
    let ranked = known.map { ($0, distance(Array(name.lowercased()), Array($0.lowercased()))) }
    return ranked.filter { $0.1 <= limit }.min { $0.1 < $1.1 }?.0
  }

  /// The number of insertions, deletions, replacements and swaps of neighbours between two words.
  private static func distance(_ a: [Character], _ b: [Character]) -> Int {
    var rows = [Array(0...b.count)]
    for (i, left) in a.enumerated() {
      var row = [i + 1]
      for (j, right) in b.enumerated() {
        var best = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (left == right ? 0 : 1))
        if i > 0, j > 0, left == b[j - 1], a[i - 1] == right {
          best = min(best, rows[i - 1][j - 1] + 1)
        }
        row.append(best)
      }
      rows.append(row)
    }
    return rows[a.count][b.count]
  }
}
