// SPDX-License-Identifier: Apache-2.0
// Jinja over the fields of a row: how the task files of other programs word prompts and choices. The
// language and its limits are those of chat templates; white space stays as it is written.

public import ReFTTensor

/// A Jinja template over named values.
public struct TextTemplate: Sendable, Equatable {
  /// The template's text.
  public let source: String
  private let origin: String
  private let statements: [TemplateStatement]

  /// Parses a template.
  ///
  /// - Parameters:
  ///   - source: the template's text.
  ///   - origin: where it stands, for messages.
  /// - Throws: `badConfiguration` naming the line for what is no template, or not supported.
  public init(_ source: String, origin: String) throws(ReFTError) {
    self.source = source
    self.origin = origin
    do throws(TemplateFault) {
      var parser = TemplateParser(tokens: try TemplateLexer.tokens(of: source, style: .verbatim))
      statements = try parser.parse()
    } catch {
      throw Self.error(error, origin, .badConfiguration)
    }
  }

  /// Whether both were written alike, in the same place.
  public static func == (left: Self, right: Self) -> Bool {
    left.source == right.source && left.origin == right.origin
  }

  /// Renders the template.
  ///
  /// - Parameter fields: an object, whose members are the template's variables.
  /// - Returns: the text.
  /// - Throws: `badData` where a variable is not there, or does not fit.
  package func text(_ fields: JSONNode) throws(ReFTError) -> String {
    do throws(TemplateFault) {
      return try evaluator(fields).run(statements)
    } catch {
      throw Self.error(error, origin, .badData)
    }
  }

  /// The value of a template that is one expression, such as `{{choices.text}}`; the text of any other.
  ///
  /// - Throws: as `text`.
  package func value(_ fields: JSONNode) throws(ReFTError) -> JSONNode {
    do throws(TemplateFault) {
      let evaluator = evaluator(fields)
      if statements.count == 1, case .output(let expression) = statements[0].kind {
        let value = try evaluator.evaluate(expression)
        if case .undefined(let name) = value {
          throw TemplateFault(line: expression.line, message: "'\(name)' is undefined")
        }
        return try Self.node(value, evaluator, place: fields.place)
      }
      return JSONNode(content: .text(try evaluator.run(statements)), place: fields.place)
    } catch {
      throw Self.error(error, origin, .badData)
    }
  }

  private func evaluator(_ fields: JSONNode) -> TemplateEvaluator {
    var variables: [String: TemplateValue] = [:]
    if case .object(let members) = fields.content {
      for member in members { variables[member.key] = Self.value(member.value) }
    }
    return TemplateEvaluator(variables: variables, work: TemplateLimits.work, isStrict: true)
  }

  private static func value(_ node: JSONNode) -> TemplateValue {
    switch node.content {
    case .null: .none
    case .flag(let flag): .bool(flag)
    case .integer(let number): .int(Int(number))
    case .number(let number): .double(number)
    case .text(let text): .string(text)
    case .list(let items): .list(TemplateList(items.map(value)))
    case .object(let members): .map(TemplateMap(members.map { .init($0.key, value($0.value)) }))
    }
  }

  private static func node(
    _ value: TemplateValue,
    _ evaluator: TemplateEvaluator,
    place: TextPlace
  ) throws(TemplateFault) -> JSONNode {
    let content: JSONNode.Content
    switch value {
    case .none: content = .null
    case .bool(let flag): content = .flag(flag)
    case .int(let number): content = .integer(Int64(number))
    case .double(let number): content = .number(number)
    case .list(let list):
      var items: [JSONNode] = []
      for item in list.items { items.append(try node(item, evaluator, place: place)) }
      content = .list(items)
    default: content = .text(try evaluator.text(of: value))
    }
    return JSONNode(content: content, place: place)
  }

  private static func error(
    _ fault: TemplateFault,
    _ origin: String,
    _ code: ReFTError.Code
  ) -> ReFTError {
    ReFTError(code, "\(origin), line \(fault.line) of the template: \(fault.message)")
  }
}
