// SPDX-License-Identifier: Apache-2.0
// Unicode's form NFC in time that grows with the text, whatever the text.

import Foundation

/// Composes letters and their marks.
///
/// Foundation sorts the marks after a letter by insertion: a megabyte of two marks by turns takes it
/// minutes. Marks that are in order already take it one pass, so long runs are ordered first.
package enum CanonicalComposition {
  /// So many marks after one letter are no word of any language.
  private static let longRun = 64

  /// The text in form NFC.
  package static func composed(_ text: String) -> String {
    ordered(text).precomposedStringWithCanonicalMapping
  }

  /// The text with long runs of marks in order: another text with the same normal forms.
  static func ordered(_ text: String) -> String {
    guard needsOrder(text) else { return text }
    var ordered = String.UnicodeScalarView()
    var run: [Unicode.Scalar] = []
    for scalar in text.unicodeScalars {
      if isMark(scalar) {
        run.append(scalar)
      } else {
        ordered.append(contentsOf: inOrder(run))
        run.removeAll(keepingCapacity: true)
        ordered.append(scalar)
      }
    }
    ordered.append(contentsOf: inOrder(run))
    return String(ordered)
  }

  private static func needsOrder(_ text: String) -> Bool {
    var count = 0
    for scalar in text.unicodeScalars {
      count = isMark(scalar) ? count + 1 : 0
      if count > longRun || count > 0 && parts[scalar] != nil { return true }
    }
    return false
  }

  /// Whether a scalar, or all that it decomposes to, can change places with a neighbour.
  private static func isMark(_ scalar: Unicode.Scalar) -> Bool {
    scalar.value >= 0x300
      && (scalar.properties.canonicalCombiningClass != .notReordered || parts[scalar] != nil)
  }

  /// The marks that decompose, of which Foundation loses some among others (seen with 6.3).
  private static let parts: [Unicode.Scalar: [Unicode.Scalar]] = [
    "\u{340}": ["\u{300}"], "\u{341}": ["\u{301}"], "\u{343}": ["\u{313}"],
    "\u{344}": ["\u{308}", "\u{301}"],
    "\u{F73}": ["\u{F71}", "\u{F72}"], "\u{F75}": ["\u{F71}", "\u{F74}"],
    "\u{F81}": ["\u{F71}", "\u{F80}"],
  ]

  /// Marks by class, those of one class as they stand; a short run of plain ones is left alone.
  private static func inOrder(_ run: [Unicode.Scalar]) -> [Unicode.Scalar] {
    guard run.count > longRun || run.contains(where: { parts[$0] != nil }) else { return run }
    var byClass = [[Unicode.Scalar]](repeating: [], count: 256)
    for scalar in run {
      for part in parts[scalar] ?? [scalar] {
        byClass[Int(part.properties.canonicalCombiningClass.rawValue)].append(part)
      }
    }
    return byClass.flatMap { $0 }
  }
}
