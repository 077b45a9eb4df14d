// SPDX-License-Identifier: Apache-2.0
// The parsed form of a chat template.

/// A statement with the line it starts in.
struct TemplateStatement: Sendable {
  indirect enum Kind: Sendable {
    case text(String)
    case output(TemplateExpression)
    /// Branches in order; the one of `else` has no condition.
    case branches([(condition: TemplateExpression?, body: [TemplateStatement])])
    case loop(TemplateLoop)
    case set(TemplateTarget, TemplateExpression)
    /// `{% set x | f %}…{% endset %}`: the text of the body, through the filters.
    case setBlock(TemplateTarget, [TemplateFilter], [TemplateStatement])
    /// `{% filter f | g %}…{% endfilter %}`.
    case filterBlock([TemplateFilter], [TemplateStatement])
    case macro(TemplateMacro)
    /// `{% call(x) f() %}…{% endcall %}`: the body is the macro that `f` finds as `caller`.
    case callBlock(TemplateExpression, TemplateMacro)
    /// `{% with a = 1 %}…{% endwith %}`.
    case with([(target: TemplateTarget, value: TemplateExpression)], [TemplateStatement])
    case breakLoop
    case continueLoop
    /// A part that is evaluated as it stands, such as `{% generation %}`.
    case group([TemplateStatement])
  }

  var kind: Kind
  var line: Int
}

/// A `for` statement.
struct TemplateLoop: Sendable {
  var target: TemplateTarget
  var items: TemplateExpression
  var condition: TemplateExpression?
  var body: [TemplateStatement]
  var otherwise: [TemplateStatement]
}

/// A `macro` statement, or the body of a `call`.
struct TemplateMacro: Sendable {
  var name: String
  var parameters: [(name: String, standard: TemplateExpression?)]
  var body: [TemplateStatement]
}

/// What `set` and `for` assign to: a variable, a field of a namespace, or several of them.
indirect enum TemplateTarget: Sendable {
  case name(String)
  case field(String, String)
  case several([TemplateTarget])
}

/// A filter with its arguments.
struct TemplateFilter: Sendable {
  var name: String
  var arguments: TemplateArguments
  var line: Int
}

/// An expression with the line it starts in.
struct TemplateExpression: Sendable {
  indirect enum Kind: Sendable {
    case value(TemplateValue)
    case name(String)
    case list([TemplateExpression], isTuple: Bool)
    case map([(key: TemplateExpression, value: TemplateExpression)])
    case attribute(TemplateExpression, String)
    case item(TemplateExpression, TemplateExpression)
    case slice(TemplateExpression, [TemplateExpression?])
    case call(TemplateExpression, TemplateArguments)
    case filter(TemplateExpression, TemplateFilter)
    case test(TemplateExpression, TemplateFilter, isNegated: Bool)
    case unary(String, TemplateExpression)
    /// Operators of one precedence from left to right: a long sum lies no deeper than a short one.
    case operation(TemplateExpression, [(symbol: String, right: TemplateExpression)])
    /// A chain such as `1 < x <= 3`: every neighbouring pair must hold.
    case comparison(TemplateExpression, [(symbol: String, right: TemplateExpression)])
    case conditional(TemplateExpression, condition: TemplateExpression, TemplateExpression?)
  }

  var kind: Kind
  var line: Int
}

/// The arguments of a call.
struct TemplateArguments: Sendable {
  var positional: [TemplateExpression] = []
  var named: [(name: String, value: TemplateExpression)] = []
}
