// SPDX-License-Identifier: Apache-2.0
// Stop texts in streams: never shown, however the text is cut.

import ReFTGeneration
import Testing
import _ReFTTestSupport

@Suite struct StopTextFilterTests {
  /// A text, its stop texts, and what may be shown of it.
  struct Case: Sendable, CustomTestStringConvertible {
    var text: String
    var stops: [String]
    var shown: String
    var isStopped = true

    var testDescription: String { "\(text) until \(stops)" }
  }

  static let cases = [
    Case(text: "hello world", stops: [], shown: "hello world", isStopped: false),
    Case(text: "hello world", stops: ["xyz"], shown: "hello world", isStopped: false),
    Case(text: "hello world", stops: ["o w"], shown: "hell"),
    Case(text: "hello world", stops: ["world", "lo"], shown: "hel"),
    Case(text: "hello", stops: ["hello"], shown: ""),
    Case(text: "hell", stops: ["hello"], shown: "hell", isStopped: false),
    Case(text: "aab aaab", stops: ["aaa"], shown: "aab "),
    Case(text: "ababac", stops: ["abac"], shown: "ab"),
    Case(text: "abcabd", stops: ["abd"], shown: "abc"),
    Case(text: "xabc", stops: ["abc", "b"], shown: "xa"),
    Case(text: "xabc", stops: ["bc", "abc"], shown: "x"),
    Case(text: "naïve 日本", stops: ["日"], shown: "naïve "),
    Case(text: "one\n\ntwo", stops: ["\n\n"], shown: "one"),
    Case(text: "one\r\ntwo", stops: ["\n"], shown: "one\r"),
    Case(text: "🙂🙃", stops: ["🙃"], shown: "🙂"),
  ]

  @Test("shows the text up to the stop text, cut anyhow", arguments: cases)
  func showsUpToStop(example: Case) {
    let scalars = Array(example.text.unicodeScalars)
    for mask in 0..<(1 << max(0, scalars.count - 1)) {
      var filter = StopTextFilter(example.stops)
      var shown = ""
      var piece = String.UnicodeScalarView()
      for (index, scalar) in scalars.enumerated() {
        piece.append(scalar)
        guard mask >> index & 1 == 1 || index == scalars.count - 1 else { continue }
        shown += filter.feed(String(piece))
        #expect(example.shown.utf8.starts(with: shown.utf8), "shown early: \(shown)")
        piece.removeAll()
      }
      shown += filter.finish()
      #expect(
        Array(shown.utf8) == Array(example.shown.utf8) && filter.isStopped == example.isStopped
      )
    }
  }

  @Test("holds back no more than may begin a stop text")
  func holdsBackLittle() {
    var filter = StopTextFilter(["\nUser:"])
    #expect(filter.feed("Hi") == "Hi")
    #expect(filter.feed(" there\n") == " there")
    #expect(filter.feed("Us") == "")
    #expect(filter.feed("ual") == "\nUsual")
    #expect(filter.feed("\nUser") == "")
    #expect(filter.feed(":") == "" && filter.isStopped)
    #expect(filter.feed("more") == "" && filter.finish() == "")
  }
}
