// SPDX-License-Identifier: Apache-2.0
// Texts from anywhere, as a terminal may see them.

import ReFTTensor
import Testing

@Suite("Texts on a terminal")
struct TerminalTextTests {
  @Test(
    "show what would steer the terminal",
    arguments: [
      ("\u{1b}[31mred\u{7}", "\\u001b[31mred\\u0007"), ("a\nb\r\tc", "a\\nb\\r\\tc"),
      ("\u{9b}2J\u{7f}\u{0}", "\\u009b2J\\u007f\\u0000"),
      ("\u{202e}gpj\u{2066}x\u{200f}", "\\u202egpj\\u2066x\\u200f"),
      ("\u{2028}\u{e0041}", "\\u2028\\u{e0041}"), ("Grüße 👩‍🚀 C:\\x", "Grüße 👩‍🚀 C:\\x"), ("", ""),
    ]
  )
  func escapes(_ text: String, _ shown: String) {
    #expect(TerminalText.name(text) == shown)
  }

  @Test("of several lines become one, or stay, as the kind of text asks")
  func breaks() {
    #expect(TerminalText.sentence("\none\r\n\ntwo\u{1b}\n") == "one two\\u001b")
    #expect(TerminalText.text("one\n\ttwo\u{8}\r") == "one\n\ttwo\\u0008\\r")
  }

  @Test("of any length are cut in the middle, and the end stays")
  func cuts() {
    let name = String(repeating: "x", count: 100_000)
    let sentence = TerminalText.sentence("the key '\(name)' is unknown; remove it")
    #expect(sentence.hasPrefix("the key 'xxx") && sentence.hasSuffix("xxx' is unknown; remove it"))
    #expect(sentence.contains(" … (98033 bytes left out) … "))
    #expect(sentence.unicodeScalars.count == 1999 + " … (98033 bytes left out) … ".count)
    // Each takes six characters to show; the bound is on what is shown.
    let escapes = TerminalText.name(String(repeating: "\u{1b}", count: 5000))
    #expect(escapes.count <= TerminalText.nameLimit + 40)
    let whole = String(repeating: "y", count: TerminalText.nameLimit)
    #expect(TerminalText.name(whole) == whole)
  }

  @Test("of errors are safe, with causes; the message itself is exact")
  func errors() {
    let cause = ReFTError(.badData, "in\u{1b}side")
    let error = ReFTError(.usage, "out\u{7}side\nb", cause: cause)
    #expect(error.message == "out\u{7}side\nb")
    #expect("\(error)" == "out\\u0007side b")
    let lines = error.detailedDescription().split(separator: "\n")
    #expect(lines.count == 2 && lines[1] == "  caused by badData: in\\u001bside")
  }
}
