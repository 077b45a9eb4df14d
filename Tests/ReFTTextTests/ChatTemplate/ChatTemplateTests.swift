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

  /// A template of language.json, which make_language.py writes; no text where Jinja refuses it.
  private struct Rendering: Decodable {
    var template: String
    var text: String?
  }

  @Test("speaks the language as Jinja does, published templates with tools among it")
  func speaksJinja() throws {
    let talk = [
      ChatMessage(role: "system", content: "Short."),
      ChatMessage(role: "user", content: "Wetter in Köln?"),
      ChatMessage(role: "assistant", content: "<think>\nhm\n</think>\n\nSunny "),
      ChatMessage(role: "user", content: "日本 \"q\""),
    ]
    let rows = try JSONDecoder().decode([Rendering].self, from: Fixture.data("chat/language.json"))
    #expect(rows.count > 180)
    for row in rows {
      let template = ChatTemplate(source: row.template, bos: "<s>", eos: "</s>")
      let found = Result { try template.render(talk, addGenerationPrompt: true) }
      switch (found, row.text) {
      case (.success(let text), let expected?):
        #expect(
          Array(text.utf8) == Array(expected.utf8),
          "\(row.template): \(text.debugDescription) for \(expected.debugDescription)"
        )
      case (.failure(let error), let expected?):
        Issue.record("\(row.template): \(error) for \(expected.debugDescription)")
      case (.success(let text), nil):
        Issue.record("\(row.template): \(text.debugDescription) where Jinja refuses")
      case (.failure, nil): break
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
      "a\n{% autoescape true %}{% endautoescape %}",
      "line 2: '{% autoescape %}' is not supported; chat templates may use if, for, set, macro, "
        + "call, filter, with, break, continue and generation"
    ),
    Fault(
      "{% include 'x' %}",
      "line 1: '{% include %}' needs other templates; a chat template is one text alone"
    ),
    Fault("{% break %}", "line 1: '{% break %}' stands outside of a loop"),
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
    Fault("{{ [1 }}", "line 1: expected ']', found '}'"),
    Fault("{{ 1) }}", "line 1: ')' closes nothing"),
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
    Fault(
      "{{ strftime_now('%Y') }}",
      "line 1: 'strftime_now' is not there: the same messages must always give the same prompt; "
        + "the template should ask 'strftime_now is defined' first"
    ),
    Fault(
      "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}",
      "line 1: the macro 'm' takes 1 arguments, found 2"
    ),
    Fault("{{ missing | tojson }}", "line 1: the undefined 'missing' cannot be written as JSON"),
    Fault("{{ raise_exception('no\nway') }}", "line 1: the template refuses the messages: no\nway"),
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
