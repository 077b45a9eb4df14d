// SPDX-License-Identifier: Apache-2.0
// Turns the messages of a conversation into the text that a chat model was trained on.

public import ReFTTensor
import Synchronization

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
/// Supported: text, `{{ }}`, `{# #}`, `raw`, `if`, `for` (with `if`, `else`, `break`, `continue`,
/// unpacking), `set` (values, blocks, namespaces), `macro` and `call`, `filter`, `with`,
/// `generation`, and white space control with `trim_blocks` and `lstrip_blocks` on, as Hugging Face
/// renders. What is not supported is an error that names the line. Templates cannot reach anything
/// but their variables, and what they touch is bounded (TemplateLimits.swift).
///
/// It is parsed when it is used: whoever does not need it can work with a model whose template is
/// broken.
public struct ChatTemplate: Sendable {
  /// The template's text.
  public let source: String
  /// Where the template stands, for messages.
  public let origin: String
  /// The bytes and items that one rendering may touch.
  package var work = TemplateLimits.work
  private let bos: String
  private let eos: String
  private let parsed = Parsed()

  /// The statements, once somebody asked for them.
  private final class Parsed: Sendable {
    private let body = Mutex<Result<[TemplateStatement], TemplateFault>?>(nil)
    private let end = Mutex<Int32??>(nil)

    func statements(of source: String) throws(TemplateFault) -> [TemplateStatement] {
      let result = body.withLock { body in
        let result =
          body
          ?? Result { () throws(TemplateFault) in
            var parser = TemplateParser(tokens: try TemplateLexer.tokens(of: source))
            return try parser.parse()
          }
        body = result
        return result
      }
      return try result.get()
    }

    /// What `find` found the first time.
    func endOfTurn(_ find: () -> Int32?) -> Int32? {
      end.withLock { end in
        let found = end ?? find()
        end = found
        return found
      }
    }
  }

  /// Takes a template.
  ///
  /// - Parameters:
  ///   - source: the template's text, as the model file has it.
  ///   - bos: the text of the beginning-of-text token, empty where there is none.
  ///   - eos: the text of the end-of-text token, empty where there is none.
  ///   - origin: where the template stands, such as a file and a key of it.
  public init(source: String, bos: String, eos: String, origin: String = "chat template") {
    self.source = source
    self.bos = bos
    self.eos = eos
    self.origin = origin
  }

  /// Writes a conversation as the model expects it.
  ///
  /// - Parameters:
  ///   - messages: the conversation, oldest message first.
  ///   - addGenerationPrompt: whether to end with the beginning of a reply.
  /// - Returns: the text; markers of special tokens stand in it as text.
  /// - Throws: `badData` naming the file and the line for what is no template, is not supported or
  ///   exceeds a limit, and where the template refuses the messages, with its own words.
  public func render(
    _ messages: [ChatMessage],
    addGenerationPrompt: Bool
  ) throws(ReFTError) -> String {
    let list = messages.map { message in
      TemplateValue.map(
        TemplateMap([
          .init("role", .string(message.role)), .init("content", .string(message.content)),
        ])
      )
    }
    do {
      let evaluator = TemplateEvaluator(
        variables: [
          "messages": .list(TemplateList(list)),
          "add_generation_prompt": .bool(addGenerationPrompt),
          "bos_token": .string(bos),
          "eos_token": .string(eos),
          // Defined as Hugging Face does: templates ask whether they are none.
          "tools": TemplateValue.none,
          "documents": TemplateValue.none,
        ],
        work: work
      )
      return try evaluator.run(try parsed.statements(of: source))
    } catch {
      throw ReFTError(.badData, "\(origin), line \(error.line): \(error.message)")
    }
  }
}

extension ChatTemplate {
  /// The special token that the template writes at the end of the assistant's turn.
  ///
  /// - Parameter coder: the tokenizer of the template's model, the same at every call.
  /// - Returns: the token; nil where no special one follows a reply, or where the template cannot
  ///   write a plain conversation.
  func endOfTurn(_ coder: any TextCoding) -> Int32? {
    parsed.endOfTurn {
      let reply = "reply"
      let messages = [
        ChatMessage(role: "user", content: "question"),
        ChatMessage(role: "assistant", content: reply),
      ]
      let text = Result { try render(messages, addGenerationPrompt: false) }
      guard case .success(let text) = text, let last = text.ranges(of: reply).last else {
        return nil
      }
      let rest = text[last.upperBound...].drop { $0.isWhitespace }
      let first = coder.encode(String(rest), parseSpecial: true, addBOS: false).first
      return first.flatMap { coder.isSpecial($0) ? $0 : nil }
    }
  }
}

/// What is wrong in a template, and in which line.
struct TemplateFault: Error {
  var line: Int
  var message: String
}
