// SPDX-License-Identifier: Apache-2.0
// Which adapters below some folders were made with a plugin.

import Foundation

/// Looks for adapters that name a plugin.
public enum AdapterUses {
  /// How many files and folders are looked at.
  private static let limit = 50_000
  /// How many folders deep adapters are looked for.
  private static let depth = 6

  /// The adapter folders below some folders that were made with a plugin.
  ///
  /// - Parameters:
  ///   - ids: the plugin's id, or those of all plugins in a file.
  ///   - folders: where to look; one that does not exist holds none.
  /// - Returns: paths, in order; what is no readable adapter is left out.
  public static func adapters(naming ids: [String], below folders: [String]) -> [String] {
    let names = Set(ids.map { $0.split(separator: ".").last.map(String.init) ?? $0 })
    var found: [String] = []
    var looked = 0
    for folder in folders {
      guard let walk = FileManager.default.enumerator(atPath: folder) else { continue }
      for case let item as String in walk {
        looked += 1
        if looked > limit { return found.sorted() }
        if walk.level > depth { walk.skipDescendants() }
        guard (item as NSString).lastPathComponent == AdapterFile.configName else { continue }
        let path = folder + "/" + (item as NSString).deletingLastPathComponent
        if let summary = try? AdapterSummary(path: path), uses(summary, ids: ids, names: names) {
          found.append(path)
        }
      }
    }
    return found.sorted()
  }

  /// An adapter that states an id means that one; else its name counts.
  private static func uses(_ summary: AdapterSummary, ids: [String], names: Set<String>) -> Bool {
    zip(summary.specs, summary.provenance).contains { spec, made in
      if let id = made.id { return ids.contains(id) }
      return ids.contains(spec.plugin) || names.contains(spec.plugin)
    }
  }
}
