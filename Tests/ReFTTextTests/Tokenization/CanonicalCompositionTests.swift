// SPDX-License-Identifier: Apache-2.0
// Composed texts: those of Foundation, also where a text has more marks than any language.

import Foundation
import ReFTText
import Testing
import _ReFTTestSupport

@Suite("Canonical composition")
struct CanonicalCompositionTests {
  private static let marks: [Unicode.Scalar] = [
    "\u{301}", "\u{323}", "\u{345}", "\u{327}", "\u{F71}", "\u{5B0}", "\u{3099}", "\u{1D165}",
    "\u{31B}",
  ]
  private static let letters: [Unicode.Scalar] = [
    "a", "e", "\u{E9}", "\u{1F82}", "\u{3B1}", "\u{F40}", "\u{304B}", "\u{AC00}", "\u{1100}",
    "\u{1161}", "\u{212B}", "\n",
  ]

  @Test("is Foundation's for runs of marks short and long, in any order")
  func same() {
    var random = SeededGenerator(seed: 4)
    for _ in 0..<200 {
      var text = String.UnicodeScalarView()
      for _ in 0..<3 {
        text.append(Self.letters[Int(random.next() % UInt64(Self.letters.count))])
        for _ in 0..<Int(random.next() % 150) {
          text.append(Self.marks[Int(random.next() % UInt64(Self.marks.count))])
        }
      }
      let expected = String(text).precomposedStringWithCanonicalMapping
      let found = CanonicalComposition.composed(String(text))
      #expect(Array(found.unicodeScalars) == Array(expected.unicodeScalars))
    }
  }

  @Test(
    "takes marks that decompose apart, as Unicode says",
    arguments: [
      ("e\u{344}\u{323}", "\u{1EB9}\u{308}\u{301}"), ("e\u{323}\u{340}", "\u{1EB9}\u{300}"),
      ("\u{F40}\u{F73}\u{F71}", "\u{F40}\u{F71}\u{F71}\u{F72}"), ("a\u{340}", "\u{E0}"),
    ]
  )
  func parts(text: String, expected: String) {
    let found = CanonicalComposition.composed(text)
    #expect(Array(found.unicodeScalars) == Array(expected.unicodeScalars))
  }

  @Test("of a megabyte of marks by turns takes no minutes")
  func bounded() {
    let text = "a" + String(repeating: "\u{301}\u{323}", count: 1 << 18)
    let start = ContinuousClock.now
    let found = CanonicalComposition.composed(text)
    #expect(start.duration(to: .now) < .seconds(20))
    // ạ, then the other dots below, then the accents.
    #expect(found.unicodeScalars.first == "\u{1EA1}")
    #expect(found.unicodeScalars.count == 1 << 19)
    #expect(found.unicodeScalars.last == "\u{301}")
  }
}
