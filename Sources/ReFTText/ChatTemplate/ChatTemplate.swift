// SPDX-License-Identifier: Apache-2.0
// Turns the messages of a conversation into the text that a chat model was trained on.

public import ReFTTensor

/// One message of a conversation.
public struct ChatMessage: Codable, Sendable, Equatable {
  /// Who speaks: `system`, `user` or `assistant`, or what else the model's template knows.
  public var role: String
  /// What is said.
  public var content: String

  /// Makes a message.
  public init(role: String, content: String) {
    self.role = role
    self.content = content
  }
}

/// A model's chat template: a Jinja template, as far as chat templates use that language.
///
/// Supported: text, `{{ }}`, `{# #}`, `if`, `for` (with `if`, `else`, `break`, `continue`, unpacking),
/// `set` (values, blocks, namespaces), white space control with `trim_blocks` and `lstrip_blocks` on,
/// as Hugging Face renders. Macros, includes, inheritance and what else is not supported are an
/// error that names the line. Templates cannot reach anything but their variables.
public struct ChatTemplate: Sendable {
  /// The template's text.
  public let source: String
  private let bos: String
  private let eos: String
  private let body: [TemplateStatement]

  /// Parses a template.
  ///
  /// - Parameters:
  ///   - source: the template's text, as the model file has it.
  ///   - bos: the text of the beginning-of-text token, empty where there is none.
  ///   - eos: the text of the end-of-text token, empty where there is none.
  /// - Throws: `badData` naming the line for what is no template or is not supported.
  public init(source: String, bos: String, eos: String) throws(ReFTError) {
    self.source = source
    self.bos = bos
    self.eos = eos
    do {
      var parser = TemplateParser(tokens: try TemplateLexer.tokens(of: source))
      body = try parser.parse()
    } catch {
      throw .chatTemplate(error)
    }
  }

  /// Writes a conversation as the model expects it.
  ///
  /// - Parameters:
  ///   - messages: the conversation, oldest message first.
  ///   - addGenerationPrompt: whether to end with the beginning of a reply.
  /// - Returns: the text; markers of special tokens stand in it as text.
  /// - Throws: `badData` where the template refuses the messages, with the template's own words and
  ///   the line.
  public func render(
    _ messages: [ChatMessage],
    addGenerationPrompt: Bool
  ) throws(ReFTError) -> String {
    let list = messages.map { message in
      TemplateValue.map([
        .init("role", .string(message.role)), .init("content", .string(message.content)),
      ])
    }
    var evaluator = TemplateEvaluator(variables: [
      "messages": .list(list),
      "add_generation_prompt": .bool(addGenerationPrompt),
      "bos_token": .string(bos),
      "eos_token": .string(eos),
    ])
    do {
      return try evaluator.run(body)
    } catch {
      throw .chatTemplate(error)
    }
  }
}

/// What is wrong in a template, and in which line.
struct TemplateFault: Error {
  var line: Int
  var message: String
}

extension ReFTError {
  static func chatTemplate(_ fault: TemplateFault) -> ReFTError {
    ReFTError(.badData, "chat template, line \(fault.line): \(fault.message)")
  }
}
