// SPDX-License-Identifier: Apache-2.0
// What the names of `tokenizer.ggml.pre` stand for, and the expressions that are cutters by hand.

extension PreTokenizer {
  /// The expressions of published models, each a fact of its tokenizer's file.
  private enum Published {
    static let contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    static let gpt2 = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
    static let ends = #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    static let slashEnds = #"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    static let letters = contraction + #"|[^\r\n\p{L}\p{N}]?\p{L}+"#
    static let llama3 = letters + #"|\p{N}{1,3}"# + ends
    static let qwen2 = letters + #"|\p{N}"# + ends
    static let upper = #"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}"#
    static let lower = #"[\p{Ll}\p{Lm}\p{Lo}\p{M}"#
    static let before = #"[^\r\n\p{L}\p{N}]?"#

    /// Words that begin a new piece where the case changes.
    static func cased(_ class_: String, then contraction: String) -> String {
      let (upper, lower) = (upper + class_ + "]", lower + class_ + "]")
      return "\(before)\(upper)*\(lower)+\(contraction)|\(before)\(upper)+\(lower)*\(contraction)"
    }

    static let gpt4o = cased("", then: contraction + "?") + #"|\p{N}{1,3}"# + slashEnds
    static let tekken = cased("", then: "") + #"|\p{N}"# + slashEnds
    static let kimi =
      #"[\p{Han}]+|"# + cased(#"&&[^\p{Han}]"#, then: contraction + "?") + #"|\p{N}{1,3}"# + ends
    static let deepseek3 =
      ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"##
      + #"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    static let falconMarks = #"[\p{P}\$\+<=>\^~\|`]+"#
    static let cjk = "[\u{4E00}-\u{9FA5}\u{800}-\u{4E00}\u{AC00}-\u{D7FF}]+"
    static let bloom = " ?[^(\\s|[.,!?\u{2026}\u{3002}\u{FF0C}\u{3001}\u{964}\u{6D4}\u{60C}])]+"
    /// The letters of the scripts that have cases, as DeepSeek lists them.
    static let casedLetters =
      #"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚ"#
      + "\u{1E00}-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u{1F7D}ᾀ-ᾴᾶ-ᾼ\u{1FBE}ῂ-ῄῆ-ῌῐ-\u{1FD3}ῖ-\u{1FDB}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u{2126}ℨ\u{212A}-ℭ"
      + "ℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+"
    static let wideMarks =
      "\\s?[!-/:-~\u{FF01}-\u{FF0F}\u{FF1A}-\u{FF5E}\u{2018}-\u{201F}\u{3000}-\u{3002}]+"
  }

  /// The expressions of each name; those of the cutters by hand are recognised in `cut(at:)`.
  private static let expressions: [String: [String]] = {
    var all: [String: [String]] = [:]
    func add(_ names: String, _ expressions: [String]) {
      for name in names.split(separator: " ") { all[String(name)] = expressions }
    }
    add("gpt-2 phi-2 mpt olmo jais trillion granite-docling roberta-bpe", [Published.gpt2])
    add("gigachat", [Published.gpt2])
    add(
      "smollm starcoder refact codeshell command-r exaone minerva-7b jina-v2-code",
      [#"\p{N}"#, Published.gpt2]
    )
    add("llama-bpe llama3 llama-v3 dbrx smaug-bpe chatglm-bpe falcon3 pixtral", [Published.llama3])
    add("qwen2 stablelm2 deepseek-r1-qwen megrez hunyuan grok-2", [Published.qwen2])
    add("gpt-4o llama4", [Published.gpt4o])
    add("tekken", [Published.tekken])
    add("kimi-k2", [Published.kimi])
    add("falcon", [Published.falconMarks, Published.gpt2, "[0-9][0-9][0-9]"])
    add("default", [Published.falconMarks, Published.gpt2, #"\p{N}+"#, "[0-9][0-9][0-9]"])
    add(
      "deepseek-llm",
      [
        "[\r\n]", Published.casedLetters, Published.wideMarks, #"\s+$"#, Published.cjk, #"\p{N}+"#,
      ]
    )
    add("deepseek-coder", ["[\r\n]", #"\s?\p{L}+"#, #"\s?\p{P}+"#, Published.cjk, #"\p{N}"#])
    add(
      "deepseek-v3 hunyuan-dense",
      [
        #"\p{N}{1,3}"#, "[\u{4E00}-\u{9FA5}\u{3040}-\u{309F}\u{30A0}-\u{30FF}]+",
        Published.deepseek3,
      ]
    )
    add("poro-chat bloom gpt3-finnish", [Published.bloom])
    add("viking", [Published.bloom, #"\p{N}"#])
    add("superbpe", [#"\p{N}+"#, #"(?=(\d{3})+(?!\d))"#])
    add(
      "bailingmoe bailingmoe2 llada-moe",
      [
        #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"#
          + #"|\s*[\r\n]|\s+(?!\S)|\s+"#
      ]
    )
    add(
      "seed-coder",
      [
        Published.letters + #"|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"#
      ]
    )
    return all
  }()

  /// The names of `tokenizer.ggml.pre` that are understood.
  package static var supportedNames: [String] { expressions.keys.sorted() }

  /// The pre-tokenizer of a name in `tokenizer.ggml.pre`; nil for an unknown one.
  package init?(named name: String) {
    guard let patterns = Self.expressions[name] else { return nil }
    var steps: [Step] = []
    if patterns == [#"\p{N}"#, Published.gpt2] {
      steps = [.gpt2SingleDigits]
    } else {
      for pattern in patterns {
        guard let step = try? Self.cut(at: pattern) else { return nil }
        steps.append(step)
      }
    }
    self.init(steps: steps)
    switch name {
    case "llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral":
      (takesWholePieces, addsBOSByDefault) = (true, true)
    case "tekken": (takesWholePieces, addsBOSByDefault) = (true, true)
    default: break
    }
  }

  /// The name in `tokenizer.ggml.pre` of these cuts.
  ///
  /// - Parameter takesWholePieces: whether the name must say that pieces that are tokens are taken whole.
  /// - Returns: the name; nil where none stands for them.
  func name(takesWholePieces: Bool) -> String? {
    // Of the names for one cut, those that other programs know best.
    let first = ["gpt-2", "smollm", "llama-bpe", "smaug-bpe", "qwen2", "gpt-4o", "tekken"]
    return (first + Self.supportedNames).first { name in
      guard let other = PreTokenizer(named: name), let own = marks, own == other.marks else {
        return false
      }
      return other.takesWholePieces == takesWholePieces
    }
  }

  /// What is cut at, the same for the same cuts; nil for cuts that no name has.
  private var marks: [String]? {
    var marks: [String] = []
    for step in steps {
      switch step {
      case .gpt2: marks.append("gpt-2")
      case .gpt2SingleDigits: marks.append("digits, gpt-2")
      case .llama3(let digits): marks.append("llama 3, \(digits)")
      case .cut(let cut):
        guard cut.behavior == .isolated, !cut.isInverted, case .expression(let found) = cut.finder
        else { return nil }
        marks.append("expression " + found.pattern)
      case .leadingSpace, .blocks, .alphabet: return nil
      }
    }
    return marks
  }

  /// A cut that isolates the matches of an expression: by hand where there is such a cutter.
  ///
  /// - Throws: what is wrong with the expression.
  static func cut(at pattern: String) throws(ExpressionFault) -> Step {
    switch pattern {
    case Published.gpt2: return .gpt2
    case Published.llama3: return .llama3(digits: 3)
    case Published.qwen2: return .llama3(digits: 1)
    default:
      let expression = try Expression(pattern)
      return .cut(TextCut(finder: .expression(expression), behavior: .isolated))
    }
  }
}
