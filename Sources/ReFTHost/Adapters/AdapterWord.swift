// SPDX-License-Identifier: Apache-2.0
// How a user names an adapter: a folder, and how much of its change counts.

import Foundation
public import ReFTTensor

/// What `FOLDER` or `FOLDER:STRENGTH` means.
public struct AdapterWord: Sendable, Equatable {
  /// The adapter folder.
  public var path: String
  /// Times its difference; 1 where none is named.
  public var strength: Float
  /// What the user wrote.
  public var text: String

  /// The largest strength, either way.
  public static let limit: Float = 1e6

  /// Reads what a user wrote; a folder that has the whole text for its name is meant as it stands.
  ///
  /// - Throws: `.usage` for a strength that is no number, or too large a one.
  public init(_ text: String) throws(ReFTError) {
    self.text = text
    (path, strength) = (text, 1)
    guard !FileManager.default.fileExists(atPath: text), let colon = text.lastIndex(of: ":"),
      let value = Float(text[text.index(after: colon)...])
    else { return }
    guard value.isFinite, abs(value) <= Self.limit else { throw .badStrength(text) }
    path = String(text[..<colon])
    strength = value
  }
}

extension ReFTError {
  static func badStrength(_ text: String) -> ReFTError {
    ReFTError(
      .usage,
      "adapter '\(text.shown())': the strength behind the colon must be a number from -1000000 to 1000000, "
        + "such as 0.5; 1 is the adapter as it was trained"
    )
  }
}

extension AdapterStack {
  /// Loads adapters for an open model.
  ///
  /// - Throws: as loading each does; `.usage` where two have heads.
  public static func load(
    _ words: [AdapterWord],
    rule: CompositionRule = .sum,
    model: LoadedModel,
    catalog: PluginCatalog
  ) throws(ReFTError) -> AdapterStack {
    var stack = AdapterStack(rule: rule)
    for word in words {
      let adapter = try Adapter.load(path: word.path, model: model, catalog: catalog)
      stack.parts.append(Part(adapter, strength: word.strength, name: word.path))
    }
    try stack.checkHeads()
    return stack
  }
}
