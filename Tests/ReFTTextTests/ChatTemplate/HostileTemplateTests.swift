// SPDX-License-Identifier: Apache-2.0
// Templates that want too much: each ends with the sentence of the limit that it meets, soon.

import ReFTTensor
import ReFTText
import Testing
import _ReFTTestSupport

@Suite struct HostileTemplateTests {
  /// A template and the end of its message.
  struct Bomb: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var template: String
    var message: String

    init(_ name: String, _ template: String, _ message: String) {
      (testDescription, self.template, self.message) = (name, template, message)
    }
  }

  private static let work =
    "the template touches more than 8388608 bytes and items; it is no template that can be rendered"
  private static let syntax = "the template nests deeper than 100"
  private static let evaluation = "the template nests deeper than 300"
  private static let value = "a value nests deeper than 100"
  private static let number = "a number is too large"

  private static func many(_ text: String, _ count: Int = 100_000) -> String {
    String(repeating: text, count: count)
  }

  /// `body` in a loop over the fields of a namespace `n`.
  private static func loop(_ fields: String, _ body: String, _ count: Int = 100_000) -> String {
    "{% set n = namespace(\(fields)) %}{% for i in range(\(count)) %}\(body)"
      + "{% endfor %}{{ n.a }}"
  }

  static let bombs: [Bomb] = nesting + growing + scanning + numbers

  static let nesting: [Bomb] = [
    Bomb("nested lists", loop("a=[]", "{% set n.a = [n.a] %}"), value),
    Bomb("nested dictionaries", loop("a={}", "{% set n.a = {'k': n.a} %}"), value),
    Bomb("nested tuples", loop("a=()", "{% set n.a = (n.a,) %}"), value),
    Bomb("nested pairs", loop("a={}", "{% set n.a = dict(k=n.a).items() | list %}"), value),
    Bomb("nested batches", loop("a=[1]", "{% set n.a = n.a | batch(1) | list %}"), value),
    Bomb(
      "nested loops' states",
      loop("a=[1]", "{% for x in n.a %}{% set n.a = [loop] %}{% endfor %}"),
      value
    ),
    Bomb("brackets", "{{ " + many("[") + many("]") + " }}", syntax),
    Bomb("parentheses", "{{ " + many("(") + "1" + many(")") + " }}", syntax),
    Bomb("braces", "{{ " + many("{'a':") + "1" + many("}") + " }}", syntax),
    Bomb("open brackets", "{{ " + many("["), "a tag is not closed; add '}}'"),
    Bomb("not", "{{ " + many("not ") + "1 }}", syntax),
    Bomb("minus", "{{ " + many("-") + "1 }}", syntax),
    Bomb("if", many("{% if 1 %}", 50_000), syntax),
    Bomb("for", many("{% for x in y %}", 40_000), syntax),
    Bomb("macros in macros", many("{% macro m() %}", 50_000), syntax),
    Bomb("else", "{{ 1" + many(" if 0 else 1", 50_000) + " }}", syntax),
    Bomb("targets", "{% set " + many("(") + "a" + many(")") + " = 1 %}", syntax),
    Bomb(
      "attributes",
      "{{ a" + many(".b") + " }}",
      "more than 100 items, calls and filters in a row"
    ),
    Bomb("filters", "{{ a" + many("|d") + " }}", "more than 100 items, calls and filters in a row"),
    Bomb("calls", "{{ a" + many("()") + " }}", "more than 100 items, calls and filters in a row"),
    Bomb(
      "a macro that calls itself",
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      evaluation
    ),
    Bomb(
      "macros that call each other",
      "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
      evaluation
    ),
    Bomb(
      "a default that calls its macro",
      "{% macro m(x=m()) %}{% endmacro %}{{ m() }}",
      evaluation
    ),
    Bomb(
      "a caller that calls its macro",
      "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}",
      evaluation
    ),
  ]

  static let growing: [Bomb] = [
    Bomb("doubling lists", loop("a=[]", "{% set n.a = [n.a, n.a] %}", 60), work),
    Bomb("doubling dictionaries", loop("a={}", "{% set n.a = {'a': n.a, 'b': n.a} %}", 60), work),
    Bomb("doubling sums of lists", loop("a=[1]", "{% set n.a = n.a + n.a %}"), work),
    Bomb("doubling texts", loop("a='x'", "{% set n.a = n.a ~ n.a %}"), work),
    Bomb("doubling by +", loop("a='x'", "{% set n.a = n.a + n.a %}"), work),
    Bomb(
      "doubling by a block",
      loop("a='x'", "{% set t %}{{ n.a }}{{ n.a }}{% endset %}{% set n.a = t %}"),
      work
    ),
    Bomb(
      "doubling by a macro",
      "{% macro m(x) %}{{ x }}{{ x }}{% endmacro %}" + loop("a='x'", "{% set n.a = m(n.a) %}"),
      work
    ),
    Bomb("doubling by join", loop("a='x'", "{% set n.a = [n.a, n.a] | join(n.a) %}"), work),
    Bomb("doubling by format", loop("a='x'", "{% set n.a = '%s%s' % (n.a, n.a) %}"), work),
    Bomb("doubling by format()", loop("a='x'", "{% set n.a = '{0}{0}'.format(n.a) %}"), work),
    Bomb("doubling by sum", loop("a=[1]", "{% set n.a = [n.a, n.a] | sum(start=[]) %}"), work),
    Bomb(
      "replacing by itself",
      "{% set n = namespace(a='abcdabcdabcdabcd') %}{% for i in range(18) %}"
        + "{% set n.a = n.a ~ n.a %}{% endfor %}{{ n.a | replace('a', n.a) }}",
      work
    ),
    Bomb("replacing nothing", "{% set a = 'x' * 30000 %}{{ a.replace('', a) }}", work),
    Bomb("a text so many times", "{{ 'x' * 9223372036854775807 }}", work),
    Bomb("a list so many times", "{{ [1] * 9223372036854775807 }}", work),
    Bomb("a long list so many times", "{{ ([1] * 1000) * 9223372036854775807 }}", work),
    Bomb("center", "{{ 'x' | center(9223372036854775807) }}", work),
    Bomb("zfill", "{{ '1'.zfill(9223372036854775807) }}", work),
    Bomb("ljust", "{{ 'x'.ljust(1000000000000) }}", work),
    Bomb("indent", "{{ 'a\\nb' | indent(9223372036854775807) }}", work),
    Bomb("indent of many lines", "{{ ('a\\n' * 100000) | indent(100000) }}", work),
    Bomb("indent of JSON", "{{ [1] | tojson(indent=9223372036854775807) }}", work),
    Bomb(
      "JSON of a graph",
      loop("a=[]", "{% set n.a = [n.a, n.a] %}", 60).replacing("{{ n.a }}", "{{ n.a | tojson }}"),
      work
    ),
    Bomb("batch", "{{ [1] | batch(9223372036854775807, 0) | list }}", work),
    Bomb("range", "{{ range(10 ** 9) | length }}", "range() has more than 100000 items"),
    Bomb("many ranges", loop("a=[]", "{% set n.a = n.a + [range(100000)] %}"), work),
    Bomb(
      "the output",
      "{% set a = 'x' * 1000000 %}{% for i in range(1000) %}{{ a }}{% endfor %}",
      work
    ),
    Bomb(
      "namespaces",
      "{% for i in range(90000) %}{% for j in range(90000) %}{% set n = namespace(a=1) %}{% endfor %}{% endfor %}",
      work
    ),
    Bomb(
      "macros",
      "{% for i in range(90000) %}{% for j in range(90000) %}{% macro m() %}{% endmacro %}{% endfor %}{% endfor %}",
      work
    ),
  ]

  static let scanning: [Bomb] = [
    Bomb(
      "loops",
      "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
      work
    ),
    Bomb(
      "loops over letters",
      "{% set a = 'x' * 100000 %}{% for i in range(9999) %}{{ a | list | length }}{% endfor %}",
      work
    ),
    Bomb(
      "in a text",
      "{% set a = 'x' * 1000000 %}{% for i in range(9999) %}{{ 'y' in a }}{% endfor %}",
      work
    ),
    Bomb(
      "in a list",
      "{% set a = range(100000) %}{% for i in range(9999) %}{{ 'y' in a }}{% endfor %}",
      work
    ),
    Bomb(
      "a hard pattern",
      "{% set a = 'x' * 1000000 %}{% for i in range(999) %}{{ a.find('x' * 500000 ~ 'y') }}{% endfor %}",
      work
    ),
    Bomb(
      "equal lists",
      "{% set a = range(100000) %}{% set b = range(100000) %}{% for i in range(9999) %}{{ a == b }}{% endfor %}",
      work
    ),
    Bomb(
      "equal texts",
      "{% set a = 'x' * 1000000 %}{% for i in range(9999) %}{{ a == a ~ '' }}{% endfor %}",
      work
    ),
    Bomb(
      "equal graphs",
      loop("a=[]", "{% set n.a = [n.a, n.a] %}", 60).replacing("{{ n.a }}", "{{ n.a == n.a }}"),
      work
    ),
    Bomb(
      "lengths",
      "{% set a = 'x' * 1000000 %}{% for i in range(9999) %}{{ a | length }}{% endfor %}",
      work
    ),
    Bomb(
      "items",
      "{% set a = 'x' * 1000000 %}{% for i in range(9999) %}{{ a[-1] }}{% endfor %}",
      work
    ),
    Bomb("unique", "{{ range(100000) | unique | list | length }}", work),
    Bomb(
      "sort",
      "{% set a = range(100000) | list %}{% for i in range(999) %}{{ (a | sort)[0] }}{% endfor %}",
      work
    ),
    Bomb(
      "upper",
      "{% set a = 'ß' * 1000000 %}{% for i in range(999) %}{{ a | upper | length }}{% endfor %}",
      work
    ),
    Bomb(
      "strip",
      "{% set a = ' ' * 1000000 %}{% for i in range(9999) %}{{ a.strip() }}{% endfor %}",
      work
    ),
    Bomb(
      "slices",
      "{% set a = 'x' * 1000000 %}{% for i in range(9999) %}{{ a[::-1][0] }}{% endfor %}",
      work
    ),
    Bomb(
      "comparison of texts",
      "{% set a = 'x' * 1000000 %}{% for i in range(9999) %}{{ a < a }}{% endfor %}",
      work
    ),
    Bomb(
      "wide dictionaries",
      "{% set a = {" + (0..<20_000).map { "'k\($0)':1" }.joined(separator: ",") + "} %}",
      work
    ),
    Bomb("a sum", "{{ range(100000) | map('string') | map('list') | sum(start=[]) }}", work),
    Bomb(
      "a long template",
      many("{{ 1 }}", 200_000),
      "the template has 1400000 bytes; at most 1048576 are read"
    ),
  ]

  static let numbers: [Bomb] = [
    Bomb("adding", "{{ 9223372036854775807 + 1 }}", number),
    Bomb("subtracting", "{{ -9223372036854775807 - 2 }}", number),
    Bomb("multiplying", "{{ 9223372036854775807 * 2 }}", number),
    Bomb("a power", "{{ 10 ** 19 }}", number),
    Bomb("a high power", "{{ 2 ** 9223372036854775807 }}", number),
    Bomb("a power of floats", "{{ 10.0 ** 400 }}", number),
    Bomb(
      "a root of nothing real",
      "{{ (-8) ** 0.5 }}",
      "'**' has no real result for these numbers"
    ),
    Bomb("the least number divided", "{{ (-9223372036854775807 - 1) // -1 }}", number),
    Bomb("the least number negated", "{{ -(-9223372036854775807 - 1) }}", number),
    Bomb("the least number's size", "{{ (-9223372036854775807 - 1) | abs }}", number),
    Bomb("many digits", "{{ ('9' * 400) | int }}", number),
    Bomb("a large float", "{{ 1e300 | int }}", number),
    Bomb(
      "a literal",
      "{{ " + many("9", 500) + " }}",
      "the number 9999999999999999999999999999999999999999 is too large"
    ),
    Bomb("a sum of items", "{{ [9223372036854775807, 1] | sum }}", number),
    Bomb(
      "mixed sorting",
      "{{ [1, 'a', none] | sort }}",
      "'<' cannot compare a string and a number"
    ),
    Bomb("a precision", "{{ 1.5 | round(400) }}", "round takes a precision from 0 to 15"),
    Bomb("a base", "{{ '1' | int(0, 99) }}", "int takes a base from 2 to 36"),
  ]

  @Test("end with the limit that they meet", arguments: bombs)
  func bounded(bomb: Bomb) throws {
    // A sixteenth of the limit: what is measured in `reft-fuzz` and in a release build takes its time
    // here.
    var template = ChatTemplate(source: bomb.template, bos: "", eos: "")
    template.work = 1 << 23
    let error = try #require(throws: ReFTError.self) {
      try template.render([ChatMessage(role: "user", content: "Hi")], addGenerationPrompt: true)
    }
    #expect(error.code == .badData)
    #expect(error.message == "chat template, line 1: " + bomb.message)
  }

  @Test("a graph of lists is told with the limit of every template")
  func fullLimit() throws {
    let source =
      "{% set n = namespace(a=[]) %}{% for i in range(40) %}{% set n.a = [n.a, n.a] %}"
      + "{% endfor %}{{ n.a }}"
    let error = try #require(throws: ReFTError.self) {
      try ChatTemplate(source: source, bos: "", eos: "").render([], addGenerationPrompt: true)
    }
    #expect(
      error.message == "chat template, line 1: the template touches more than 134217728 bytes and "
        + "items; it is no template that can be rendered"
    )
  }

  @Test("numbers at the edges come out as in Python")
  func edges() throws {
    let template = ChatTemplate(
      source: """
        {{ -9223372036854775807 - 1 }} {{ (-9223372036854775807 - 1) % -1 }} \
        {{ [1, 2][-9223372036854775807 - 1:] }} {{ 'ab'[9223372036854775807] is defined }} \
        {{ 1e308 * 10 }} {{ 'nan' | float == 'nan' | float }} {{ 'x' * -1 }}|{{ 'inf' | float | int }}
        """,
      bos: "",
      eos: ""
    )
    #expect(
      try template.render([], addGenerationPrompt: false)
        == "-9223372036854775808 0 [1, 2] False inf False |0"
    )
  }

  @Test("a long conversation stays within the limits")
  func longConversation() throws {
    let template = ChatTemplate(
      source: "{% for m in messages[1:] %}{{ '<|' + m.role + '|>' + m.content | trim + '<end>' }}"
        + "{% if '<think>' in m.content %}{{ m.content.split('</think>')[-1] }}{% endif %}{% endfor %}",
      bos: "",
      eos: ""
    )
    let message = ChatMessage(role: "user", content: String(repeating: "word ", count: 2_000))
    let text = try template.render(
      Array(repeating: message, count: 500),
      addGenerationPrompt: false
    )
    #expect(text.utf8.count > 4_900_000)
  }
}

extension String {
  fileprivate func replacing(_ part: String, _ other: String) -> String {
    split(separator: part, omittingEmptySubsequences: false).joined(separator: other)
  }
}
