// SPDX-License-Identifier: Apache-2.0
// How a row's texts become the prompt and the completion that the model sees.

public import ReFTTensor

/// The wording around an instruction.
public enum Template: Sendable, Equatable, CustomStringConvertible {
  /// The texts as they are. An input follows its instruction on a line of its own.
  case none
  /// The wording of Stanford Alpaca, with and without input.
  case alpaca
  /// The model's own chat template, with the instruction as the user's message.
  case chat
  /// A text with `{instruction}`, `{input}` and `{output}`; doubled braces stand for themselves.
  case format(Format)

  /// Reads a template from a configuration or an adapter.
  ///
  /// - Throws: `badConfiguration` when the text is neither a known name nor a format string.
  public init(_ text: String) throws(ReFTError) {
    switch text {
    case "none": self = .none
    case "alpaca": self = .alpaca
    case "chat": self = .chat
    default:
      guard text.contains("{") else { throw .unknownTemplate(text) }
      self = .format(try Format(text))
    }
  }

  /// The name or the format string.
  public var description: String {
    switch self {
    case .none: "none"
    case .alpaca: "alpaca"
    case .chat: "chat"
    case .format(let format): format.source
    }
  }

  /// The prompt of an instruction, as the model sees it; nil where the model's chat template writes
  /// it.
  func prompt(instruction: String, input: String) -> String? {
    switch self {
    case .none: input.isEmpty ? instruction : instruction + "\n" + input
    case .alpaca: Self.alpacaPrompt(instruction: instruction, input: input)
    case .chat: nil
    case .format(let format): format.prompt(instruction: instruction, input: input)
    }
  }

  /// The user's message of an instruction, for the chat template.
  static func message(instruction: String, input: String) -> ChatMessage {
    ChatMessage(role: "user", content: input.isEmpty ? instruction : instruction + "\n\n" + input)
  }

  /// The completion that answers, without end-of-sequence token.
  func completion(of output: String) -> String {
    if case .format(let format) = self { return output + format.closing }
    return output
  }

  private static func alpacaPrompt(instruction: String, input: String) -> String {
    if input.isEmpty {
      return "Below is an instruction that describes a task. Write a response that appropriately "
        + "completes the request.\n\n### Instruction:\n\(instruction)\n\n### Response:\n"
    }
    return "Below is an instruction that describes a task, paired with an input that provides "
      + "further context. Write a response that appropriately completes the request.\n\n"
      + "### Instruction:\n\(instruction)\n\n### Input:\n\(input)\n\n### Response:\n"
  }
}

extension Template {
  /// A format string, taken apart.
  public struct Format: Sendable, Equatable {
    private enum Piece: Sendable, Equatable {
      case text(String)
      case instruction
      case input
    }

    /// The format string as it was written.
    public let source: String
    private var pieces: [Piece] = []
    /// What follows `{output}`.
    fileprivate private(set) var closing = ""

    /// Takes a format string apart.
    ///
    /// - Throws: `badConfiguration` for an unknown field, a lone brace, no `{instruction}`, or a
    ///   field after `{output}`.
    public init(_ source: String) throws(ReFTError) {
      self.source = source
      var literal = ""
      var hasOutput = false
      var rest = source[...]
      while let character = rest.popFirst() {
        guard character == "{" || character == "}" else {
          literal.append(character)
          continue
        }
        if rest.first == character {
          literal.append(rest.removeFirst())
          continue
        }
        guard character == "{", let end = rest.firstIndex(of: "}") else {
          throw .loneBrace(template: source, brace: character)
        }
        let field = String(rest[..<end])
        rest = rest[rest.index(after: end)...]
        guard !hasOutput else { throw .fieldAfterOutput(template: source, field: field) }
        pieces.append(.text(literal))
        literal = ""
        switch field {
        case "instruction", "prompt": pieces.append(.instruction)
        case "input": pieces.append(.input)
        case "output", "completion": hasOutput = true
        default: throw .unknownField(template: source, field: field)
        }
      }
      if hasOutput { closing = literal } else { pieces.append(.text(literal)) }
      guard pieces.contains(.instruction) else { throw .templateWithoutInstruction(source) }
    }

    fileprivate func prompt(instruction: String, input: String) -> String {
      pieces.map { piece in
        switch piece {
        case .text(let text): text
        case .instruction: instruction
        case .input: input
        }
      }.joined()
    }
  }
}
