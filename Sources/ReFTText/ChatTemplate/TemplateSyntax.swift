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
    case set([TemplateTarget], TemplateExpression)
    case setBlock(TemplateTarget, [TemplateStatement])
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
  var names: [String]
  var items: TemplateExpression
  var condition: TemplateExpression?
  var body: [TemplateStatement]
  var otherwise: [TemplateStatement]
}

/// What `set` assigns to: a variable, or a field of a namespace.
struct TemplateTarget: Sendable {
  var name: String
  var field: String?
}

/// An expression with the line it starts in.
struct TemplateExpression: Sendable {
  indirect enum Kind: Sendable {
    case value(TemplateValue)
    case name(String)
    case list([TemplateExpression])
    case map([(key: TemplateExpression, value: TemplateExpression)])
    case attribute(TemplateExpression, String)
    case item(TemplateExpression, TemplateExpression)
    case slice(TemplateExpression, [TemplateExpression?])
    case call(TemplateExpression, TemplateArguments)
    case filter(TemplateExpression, String, TemplateArguments)
    case test(TemplateExpression, String, TemplateArguments, isNegated: Bool)
    case unary(String, TemplateExpression)
    case binary(String, TemplateExpression, TemplateExpression)
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
