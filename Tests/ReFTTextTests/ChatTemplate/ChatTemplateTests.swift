// SPDX-License-Identifier: Apache-2.0
// Chat templates against Jinja itself, and the words for what is not supported.

import Foundation
import ReFTTensor
import ReFTText
import Testing
import _ReFTTestSupport

@Suite struct ChatTemplateTests {
  /// One rendering by Jinja; make_templates.py writes them.
  private struct Row: Decodable {
    var template: String
    var messages: [ChatMessage]
    var addGenerationPrompt: Bool
    var text: String?
    var refusal: String?
  }

  @Test("renders as Jinja does, with the settings of Hugging Face")
  func rendersAsJinja() throws {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let rows = try decoder.decode([Row].self, from: Fixture.data("chat/templates.json"))
    #expect(rows.count > 60)
    for row in rows {
      func render() throws -> String {
        try ChatTemplate(source: row.template, bos: "<s>", eos: "</s>")
          .render(row.messages, addGenerationPrompt: row.addGenerationPrompt)
      }
      if let refusal = row.refusal {
        let error = try #require(throws: ReFTError.self) { try render() }
        #expect(error.message.hasSuffix("the template refuses the messages: \(refusal)"))
      } else {
        let expected = try #require(row.text)
        do {
          let found = try render()
          #expect(
            Array(found.utf8) == Array(expected.utf8),
            "\(row.template): \(found.debugDescription) for \(expected.debugDescription)"
          )
        } catch {
          Issue.record("\(row.template): \(error)")
        }
      }
    }
  }

  /// A template that cannot be used, and the message.
  struct Fault: Sendable, CustomTestStringConvertible {
    var template: String
    var message: String

    init(_ template: String, _ message: String) {
      self.template = template
      self.message = message
    }

    var testDescription: String { String(template.prefix(40)) }
  }

  static let faults: [Fault] = [
    Fault(
      "a\n{% macro m() %}{% endmacro %}",
      "line 2: '{% macro %}' is not supported; chat templates may use if, for, set, break and continue"
    ),
    Fault(
      "{% include 'x' %}",
      "line 1: '{% include %}' is not supported; chat templates may use if, for, set, break and continue"
    ),
    Fault("{{ x | frobnicate }}", "line 1: the filter 'frobnicate' is not supported"),
    Fault(
      "\n\n{{ 1 is frobnicated }}",
      "line 3: the test 'frobnicated' of a number is not supported"
    ),
    Fault("{{ frobnicate(1) }}", "line 1: the function 'frobnicate' is not supported"),
    Fault("{{ 'a'.frobnicate() }}", "line 1: the method 'frobnicate' of a string is not supported"),
    Fault("{{ missing.role }}", "line 1: 'missing' is undefined and has no 'role'"),
    Fault("{{ missing.strip() }}", "line 1: 'missing' is undefined and has no 'strip'"),
    Fault("{{ 'a' + 1 }}", "line 1: '+' cannot be applied to a string and a number"),
    Fault(
      "{{ 'a' + missing }}",
      "line 1: '+' cannot be applied to a string and the undefined 'missing'"
    ),
    Fault("{{ 1 // 0 }}", "line 1: division by zero"),
    Fault("{{ 9223372036854775807 + 1 }}", "line 1: a number is too large"),
    Fault("{{ 9223372036854775808 }}", "line 1: the number 9223372036854775808 is too large"),
    Fault("{{ 'a' < 1 }}", "line 1: '<' cannot compare a string and a number"),
    Fault(
      "{% if true %}x",
      "line 1: the block from here on lacks '{% elif %}' or '{% else %}' or '{% endif %}'"
    ),
    Fault(
      "{% for x in y %}\nx",
      "line 1: the block from here on lacks '{% else %}' or '{% endfor %}'"
    ),
    Fault("{% endif %}", "line 1: '{% endif %}' has no block that it belongs to"),
    Fault("{{ 1", "line 1: a tag is not closed; add '}}'"),
    Fault("{# x", "line 1: a comment '{#' has no '#}'; close it"),
    Fault("{{ 'x }}", "line 1: a string is not closed; add '"),
    Fault("{{ '\\uZZZZ' }}", "line 1: '\\u' needs 4 hexadecimal digits of a character"),
    Fault("{{ $ }}", "line 1: '$' cannot stand here; expected an expression"),
    Fault("{{ }}", "line 1: expected a value, found '}}'"),
    Fault("{{ 1 2 }}", "line 1: expected '}}', found '2'"),
    Fault("{{ [1 }}", "line 1: a tag is not closed; add '}}'"),
    Fault("{% set x %}", "line 1: the block from here on lacks '{% endset %}'"),
    Fault("{% set x.y = 1 %}", "line 1: 'x' is no namespace; only fields of one can be set"),
    Fault(
      "{% for a, b in [1] %}{% endfor %}",
      "line 1: a number cannot be unpacked into 2 variables"
    ),
    Fault("{% for a in 5 %}{% endfor %}", "line 1: a number has no items"),
    Fault("{% for a in b recursive %}{% endfor %}", "line 1: recursive loops are not supported"),
    Fault("{{ range(1000000000) | length }}", "line 1: range() has more than 100000 items"),
    Fault("{{ range(1, 5, 0) }}", "line 1: the step of range() is 0"),
    Fault("{{ 'abc'[::0] }}", "line 1: the step of a slice is 0"),
    Fault("{{ f(*x) }}", "line 1: arguments with '*' are not supported"),
    Fault("{{ {1: 2} }}", "line 1: a number is a key; use strings as keys"),
    Fault("{{ missing | tojson }}", "line 1: the undefined 'missing' cannot be written as JSON"),
    Fault("{{ raise_exception('no\nway') }}", "line 1: the template refuses the messages: no\nway"),
    Fault(
      "{{ " + String(repeating: "(", count: 999) + "1" + String(repeating: ")", count: 999) + "}}",
      "line 1: the expression nests deeper than 100"
    ),
    Fault(
      "{{ " + String(repeating: "not ", count: 2_000) + "1 }}",
      "line 1: the expression nests deeper than 100"
    ),
    Fault(
      "{{ " + String(repeating: "-", count: 2_000) + "1 }}",
      "line 1: the expression nests deeper than 100"
    ),
    Fault(
      "{{ 1" + String(repeating: "+1", count: 100_000) + " }}",
      "line 1: a tag has more than 4000 tokens"
    ),
    Fault(
      "{{ 1" + String(repeating: "+1", count: 1_000) + " }}",
      "line 1: the template nests deeper than 200"
    ),
    Fault(
      String(repeating: "{% if 1 %}", count: 1_000),
      "line 1: the expression nests deeper than 100"
    ),
    Fault(
      "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
      "line 1: the template takes more than 1000000 steps"
    ),
    Fault(
      "{% set ns = namespace(s='x') %}{% for a in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
      "line 1: a text grows beyond 67108864 bytes"
    ),
  ]

  @Test("says in which line a template goes wrong, and how", arguments: faults)
  func refuses(fault: Fault) throws {
    let error = try #require(throws: ReFTError.self) {
      try ChatTemplate(source: fault.template, bos: "", eos: "").render(
        [],
        addGenerationPrompt: true
      )
    }
    #expect(error.code == .badData)
    #expect(error.message == "chat template, " + fault.message)
  }
}
