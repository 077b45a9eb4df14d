// SPDX-License-Identifier: Apache-2.0
// Watches a stream of text for texts that end it.

/// Lets text through up to the first stop text, holding back what may be the beginning of one.
///
/// Of several stop texts the one counts that is complete first; so the result does not depend on
/// the pieces in which the text comes.
package struct StopTextFilter: Sendable {
  private let stops: [[UInt8]]
  private var held: [UInt8] = []
  /// Whether a stop text has come; nothing is let through any more.
  package private(set) var isStopped = false

  /// Watches for `stops`, none of which is empty.
  package init(_ stops: [String]) { self.stops = stops.map { Array($0.utf8) } }

  /// Takes the next piece of text and returns what may be shown.
  package mutating func feed(_ text: String) -> String {
    guard !isStopped else { return "" }
    guard !stops.isEmpty else { return text }
    let checked = held.count
    held += text.utf8
    for end in held.indices.dropFirst(checked).map({ $0 + 1 }) {
      let lengths = stops.filter { held[..<end].hasSuffix($0) }.map(\.count)
      if let longest = lengths.max() {
        isStopped = true
        return take(end - longest)
      }
    }
    // The longest end of the text that begins a stop text stays back. It begins with the first byte
    // of a character, since every stop text does.
    let longest = min(held.count, (stops.map(\.count).max() ?? 0) - 1)
    let kept = stride(from: longest, to: 0, by: -1).first { length in
      stops.contains { $0.count > length && $0[..<length].elementsEqual(held.suffix(length)) }
    }
    return take(held.count - (kept ?? 0))
  }

  /// Returns what was held back, when no more text comes.
  package mutating func finish() -> String { isStopped ? "" : take(held.count) }

  private mutating func take(_ count: Int) -> String {
    let text = String(decoding: held[..<count], as: UTF8.self)
    held.removeFirst(count)
    return text
  }
}

extension ArraySlice<UInt8> {
  fileprivate func hasSuffix(_ suffix: [UInt8]) -> Bool {
    count >= suffix.count && self.suffix(suffix.count).elementsEqual(suffix)
  }
}
