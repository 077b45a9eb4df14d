// SPDX-License-Identifier: Apache-2.0
// Where plugins run by the user's word at the command line.

public import ReFTTensor

/// The user's word on where plugins run; it goes before configurations and adapters, not before trust.
public struct IsolationChoice: Sendable, Hashable {
  /// For plugins that are not named.
  public private(set) var others: Isolation?
  /// By the plugin's name.
  public private(set) var byName: [String: Isolation] = [:]

  /// No word at all.
  public init() {}

  /// Reads `process`, `none`, `NAME=process` or `NAME=none`, later words going before earlier ones.
  ///
  /// - Throws: `.usage` for anything else.
  public init(_ words: [String]) throws(ReFTError) {
    for word in words {
      let parts = word.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
      guard (1...2).contains(parts.count), let place = parts.last,
        let isolation = Isolation(rawValue: place), parts.count == 1 || !parts[0].isEmpty
      else { throw .badIsolation(word) }
      if parts.count == 1 { others = isolation } else { byName[parts[0]] = isolation }
    }
  }

  /// Where a plugin runs, when a configuration or an adapter says `written` of it.
  func isolation(of plugin: String, written: Isolation?) -> Isolation? {
    let name = plugin.split(separator: ".").last.map(String.init) ?? plugin
    return byName[plugin] ?? byName[name] ?? others ?? written
  }
}
