// SPDX-License-Identifier: Apache-2.0
// Regular expressions with groups, and Jinja over the fields of rows, as Python has them.

import ReFTTensor
import ReFTText
import Testing

@Suite("A regular expression that cuts texts")
struct RegularExpressionTests {
  @Test("tells what each group took, and that one took no part")
  func groups() throws {
    let pattern = try RegularExpression("(a+)(b)?(?:c)(d|e)")
    let matches = try pattern.matches(in: "xaabcd ace")
    #expect(matches.map(\.whole) == ["aabcd", "ace"])
    #expect(matches[0].groups == ["aa", "b", "d"] && matches[1].groups == ["a", nil, "e"])
  }

  @Test("forgets what a group took on a way that led nowhere")
  func forgets() throws {
    let match = try RegularExpression("(?:(a)b|(a)c)").matches(in: "ac").first
    #expect(match?.groups == [nil, "a"])
    let ahead = try RegularExpression("(?=(a))ab|(a)c").matches(in: "ac").first
    #expect(ahead?.groups == [nil, "a"])
  }

  @Test("takes ^ and $ for the ends of the text, and brackets in a class for themselves")
  func dialect() throws {
    #expect(try RegularExpression("^b").matches(in: "a\nb").isEmpty)
    #expect(try RegularExpression("a$").matches(in: "a\n").count == 1)
    #expect(try RegularExpression("[[]x").matches(in: "[x").first?.whole == "[x")
    #expect(try RegularExpression("(?P<n>x)").matches(in: "x").first?.groups == ["x"])
  }

  @Test("finds empty places once each, also behind characters of several bytes")
  func empty() throws {
    #expect(try RegularExpression("x*").matches(in: "éx").map(\.start) == [0, 2, 3])
  }

  @Test("that never ends is an error")
  func endless() throws {
    let pattern = try RegularExpression("(a*)*(a*)*(a*)*b")
    #expect(throws: ReFTError.self) {
      try pattern.matches(in: String(repeating: "a", count: 4000))
    }
    #expect(throws: ReFTError.self) { try RegularExpression("(?<=a)b") }
  }
}

@Suite("Jinja over the fields of a row")
struct TextTemplateTests {
  private let fields = Result {
    try JSONFile.node(
      Array(#"{"q":"why?","choices":{"text":["a","b"],"label":["A","B"]},"key":"B"}"#.utf8),
      path: "row"
    )
  }

  @Test("keeps white space as it is written")
  func verbatim() throws {
    let template = try TextTemplate("{% if q %}\n  {{q}}\n{% endif %}\n", origin: "t")
    #expect(try template.text(fields.get()) == "\n  why?\n\n")
  }

  @Test("gives lists and numbers where it is one expression")
  func values() throws {
    let list = try TextTemplate("{{choices.text}}", origin: "t").value(fields.get())
    let index = try TextTemplate("{{choices.label.index(key)}}", origin: "t").value(fields.get())
    #expect(list.value == .array([.string("a"), .string("b")]) && index.value == .int(1))
  }

  @Test("refuses a field that is not there")
  func undefined() throws {
    let template = try TextTemplate("a {{question}}", origin: "t.yaml:3:2")
    let error = #expect(throws: ReFTError.self) { try template.text(fields.get()) }
    #expect(error?.message == "t.yaml:3:2, line 1 of the template: 'question' is undefined")
  }
}
