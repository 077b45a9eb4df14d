// SPDX-License-Identifier: Apache-2.0
// Chat templates out of a grammar, some of them damaged afterwards.

import ReFTText

/// Makes templates that mostly parse, and renders them.
public struct TemplateFuzz: FuzzReader {
  /// The name on the command line.
  public static let name = "template"

  /// Makes a reader.
  public init() {}

  /// Makes one template.
  public func makeInput(_ random: inout FuzzRandom) -> [UInt8] {
    var grammar = TemplateGrammar(random: random)
    let text = grammar.template()
    random = grammar.random
    let bytes = [UInt8](text.utf8)
    return random.once(in: 3) ? FuzzMutation.mutate(bytes, &random) : bytes
  }

  /// Renders a template with a short conversation.
  public func read(_ input: [UInt8]) throws {
    let template = ChatTemplate(
      source: String(decoding: input, as: UTF8.self),
      bos: "<s>",
      eos: "</s>"
    )
    let messages = [
      ChatMessage(role: "system", content: "Be kind."),
      ChatMessage(role: "user", content: "Größe 日本 \u{1F600} <think>a</think>"),
      ChatMessage(role: "assistant", content: ""),
    ]
    _ = try template.render(messages, addGenerationPrompt: true)
  }
}

/// Writes statements and expressions of the template language.
struct TemplateGrammar {
  var random: FuzzRandom
  private var depth = 0

  init(random: FuzzRandom) { self.random = random }

  private static let variables = """
    {% set a = [1, 2, 3] %}{% set b = 'text' %}{% set x = {'role': 'r', 'a': 1} %}\
    {% set message = messages[0] %}{% set ns = namespace(a='q') %}\
    {% macro m(a, b=1) %}{{ a }}{{ caller() if caller }}{% endmacro %}
    """

  private static let names = [
    "a", "b", "ns", "m", "messages", "loop", "x", "caller", "tools", "bos_token", "message",
    "range",
  ]
  private static let filters = [
    "tojson", "trim", "join", "list", "length", "first", "last", "upper", "lower", "title", "items",
    "dictsort", "unique", "int", "float", "string", "safe", "reverse", "sort", "sum", "min", "max",
    "abs", "round", "capitalize", "count", "indent", "center", "batch(2)", "map('upper')",
    "map(attribute='role')", "selectattr('role')", "rejectattr('role', 'equalto', 'user')",
    "select('string')", "default('d')", "default('', true)", "replace('a', 'bb')",
    "tojson(indent=-1)", "tojson(indent=2)", "join(', ')", "sort(reverse=true)", "format(1)",
    "batch(9223372036854775807, 1)", "indent(1000000000000)", "int(base=36)", "sum(start='x')",
  ]
  private static let methods = [
    "strip()", "split()", "split('a')", "split('', 1)", "startswith('a')", "endswith(('a', 'b'))",
    "items()", "keys()", "values()", "get('role')", "replace('a', 'aa')", "replace('', 'x')",
    "upper()", "title()", "count('a')", "find('日')", "rfind('a')", "format(1, a=2)", "lstrip('x')",
    "rsplit(' ', 1)", "splitlines()", "zfill(300)", "ljust(1000000000000000)", "join(messages)",
    "partition('a')", "removeprefix('B')", "index('e')", "cycle(1, 2)", "isupper()", "center(9)",
  ]
  private static let tests = [
    "defined", "none", "string", "mapping", "iterable", "sequence", "number", "odd",
    "divisibleby 0",
    "in messages", "eq 1", "callable", "upper", "sameas none", "boolean", "divisibleby(-1)",
  ]
  private static let operators = [
    "~", "~", "~", "==", "==", "and", "or", "and", "or", "+", "-", "*", "/", "//", "%", "**", "!=",
    "<", "<=", ">", ">=", "in", "not in",
    "and",
    "or",
  ]
  private static let numbers = [
    "0", "1", "2", "3", "7", "-1", "100", "1000000", "9223372036854775807", "1e308", "0.5",
    "1e-300",
    "-9223372036854775807",
  ]
  private static let texts = [
    "''", "'a'", "'abc'", "\"it's\"", "'%s'", "'{}'", "'é日'", "'\\x00\\n'",
  ]

  mutating func template() -> String {
    // Half of them with variables that the names find, so that more of them get somewhere.
    let start = random.once(in: 2) ? Self.variables : ""
    return start + (0...random.below(4)).map { _ in statement() }.joined()
  }

  private mutating func body() -> String {
    depth += 1
    defer { depth -= 1 }
    return (0...random.below(3)).map { _ in statement() }.joined()
  }

  private mutating func open() -> String { random.pick(["{%", "{%-", "{%+", "\n  {%"]) }

  private mutating func close() -> String { random.pick(["%}", "-%}", "+%}", "%}\n"]) }

  private mutating func block(_ head: String, _ end: String) -> String {
    "\(open()) \(head) \(close())\(body())\(open()) \(end) \(close())"
  }

  private mutating func name() -> String { random.pick(Self.names) }

  private mutating func statement() -> String {
    guard depth < 6 else { return "{{ \(expression()) }}" }
    switch random.below(16) {
    case 0: return random.pick([" text ", "\n", "{# note #}", "{", "}}", "日本\r\n"])
    case 1: return block("if \(expression())", "endif")
    case 2:
      return
        "{% if \(expression()) %}\(body()){% elif \(expression()) %}{% else %}\(body()){% endif %}"
    case 3:
      return block("for \(name()) in \(expression())", "endfor")
    case 4: return block("for x in range(\(random.below(3000)))", "endfor")
    case 5: return block("for a, b in \(expression()) if \(expression())", "endfor")
    case 6: return block("macro \(name())(a, b=\(expression()))", "endmacro")
    case 7: return block("call m(\(expression()))", "endcall")
    case 8: return block("filter \(random.pick(Self.filters))", "endfilter")
    case 9: return block("set \(name())", "endset")
    case 10: return "\(open()) set \(name()) = \(expression()) \(close())"
    case 11: return "{% set ns = namespace(a=\(expression())) %}\(growth())"
    case 12: return random.pick(["{% break %}", "{% continue %}", "{% raw %}{{{% endraw %}"])
    case 13: return block("with a = \(expression())", "endwith")
    default: return "{{ \(expression()) }}"
    }
  }

  /// A loop that makes the field of a namespace larger.
  private mutating func growth() -> String {
    let step = random.pick([
      "[ns.a]", "[ns.a, ns.a]", "ns.a ~ ns.a", "ns.a + ns.a", "{'k': ns.a, 'l': ns.a}", "(ns.a,)",
      "ns.a * 3", "ns.a | string | replace('a', ns.a | string)", "[ns.a] | tojson",
      "[ns.a, ns.a] | join(ns.a | string)", "m(ns.a)", expression(),
    ])
    let count = random.pick([3, 20, 60, 3000])
    return "{% for i in range(\(count)) %}{% set ns.a = \(step) %}{% endfor %}"
      + random.pick(["{{ ns.a }}", "{{ ns.a | tojson }}", "{{ ns.a == ns.a }}", ""])
  }

  private mutating func expression() -> String {
    depth += 1
    defer { depth -= 1 }
    guard depth < 9 else { return atom() }
    switch random.below(16) {
    case 0, 1, 2: return atom()
    case 3, 4: return "\(expression()) \(random.pick(Self.operators)) \(expression())"
    case 5: return "(\(expression()))"
    case 6: return "[\(expression()), \(expression())]"
    case 7: return "{'role': \(expression()), 'a': \(expression())}"
    case 8: return "\(expression()) | \(random.pick(Self.filters))"
    case 9: return "(\(expression())).\(random.pick(Self.methods))"
    case 10: return "\(expression()) is \(random.pick(Self.tests))"
    case 11: return "\(random.pick(["not ", "-", "+"]))\(expression())"
    case 12: return "(\(expression()))[\(slice())]"
    case 13: return "\(expression()) if \(expression()) else \(expression())"
    case 14: return "\(name())(\(expression()), b=\(expression()))"
    default: return "(\(expression()),)"
    }
  }

  private mutating func slice() -> String {
    switch random.below(4) {
    case 0: return expression()
    case 1: return "\(random.pick(Self.numbers)):"
    case 2: return "::\(random.pick(Self.numbers))"
    default: return "\(random.pick(Self.numbers)):\(random.pick(Self.numbers)):-1"
    }
  }

  private mutating func atom() -> String {
    switch random.below(8) {
    case 0: return random.pick(Self.numbers)
    case 1: return random.pick(Self.texts)
    case 2: return "\(name()).\(random.pick(["role", "content", "a", "index", "previtem", "0"]))"
    case 3: return "messages[\(random.pick(["0", "-1", "1:", "'role'"]))].content"
    case 4: return random.pick(["true", "none", "[]", "{}", "()", "'x' * 100000", "range(100000)"])
    default: return name()
    }
  }
}
