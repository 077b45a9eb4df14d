// SPDX-License-Identifier: Apache-2.0
// Tables of every form: cells, lines, and what is refused.

import ReFTTensor
import ReFTTraining
import Testing

@Suite("A table")
struct DelimitedTextTests {
  private func rows(_ text: String, _ form: DelimitedText.Form) throws -> [DelimitedText.Row] {
    var table = DelimitedText(Array(text.utf8), path: "t", form: form)
    var rows: [DelimitedText.Row] = []
    while let row = try table.next() { rows.append(row) }
    return rows
  }

  @Test(
    "has cells between tabs or commas, and in quotes where its form has them",
    arguments: [
      ("a,b\nc,\n", .commas, [["a", "b"], ["c", ""]]),
      ("a,b\r\n\r\n\nc,d", .commas, [["a", "b"], ["c", "d"]]),
      ("\"a,\"\"b\"\"\nc\",d\r\n,", .commas, [["a,\"b\"\nc", "d"], ["", ""]]),
      ("a\"b,c \"d\"\n", .commas, [["a\"b", "c \"d\""]]),
      ("\"a\tb\"\tc,d\n\"\"\te", .tabs, [["a\tb", "c,d"], ["", "e"]]),
      ("\"a\tb\"\n\"\t\"", .plain, [["\"a", "b\""], ["\"", "\""]]),
      ("a\r\tb\r\n", .plain, [["a\r", "b"]]), ("", .commas, []), ("\n\"\"\n", .commas, []),
    ] as [(String, DelimitedText.Form, [[String]])]
  )
  func cells(_ text: String, _ form: DelimitedText.Form, _ expected: [[String]]) throws {
    #expect(try rows(text, form).map(\.cells) == expected)
  }

  @Test("counts lines, those in quotes too")
  func lines() throws {
    #expect(try rows("a\n\n\"b\nb\",c\nd", .commas).map(\.line) == [1, 3, 5])
  }

  @Test(
    "is refused with its line, what is there, what is expected and a remedy",
    arguments: [
      ("a\n\"b\n", .commas, "t:2: a cell begins with a double quote, and the file ends"),
      ("a\n\"b\nc\" d,e\n", .commas, "t:3: ' d,e' behind the closing quote of a cell"),
      ("\"b\"c,\n", .commas, "; expected a comma or the end of the line; write quotes inside"),
      ("\"b\"c\n", .tabs, "; expected a tab or the end of the line; write quotes inside"),
    ] as [(String, DelimitedText.Form, String)]
  )
  func refused(_ text: String, _ form: DelimitedText.Form, _ message: String) {
    let error = #expect(throws: ReFTError.self) { try rows(text, form) }
    #expect(error?.code == .badData)
    #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
  }

  @Test("that is no UTF-8 is refused with its line")
  func encoding() {
    var table = DelimitedText([0x61, 0x0A, 0xFF], path: "t", form: .plain)
    _ = try? table.next()
    let error = #expect(throws: ReFTError.self) { try table.next() }
    #expect(error?.message.hasPrefix("t:2: bytes that are not UTF-8; ") == true)
  }
}
