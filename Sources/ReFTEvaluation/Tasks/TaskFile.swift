// SPDX-License-Identifier: Apache-2.0
// What a task is: rows, their wording, and one scorer. Reading its YAML is in TaskFile+Reading, reading
// lm-evaluation-harness's in HarnessFile.

package import ReFTGeneration
import ReFTTensor
package import ReFTText

/// A task: rows, how they are worded, and how what the model does with them is scored.
public struct TaskFile: Sendable {
  /// What messages and results call it.
  public var name: String
  /// What it asks of a model, in a sentence.
  public var summary = ""
  /// How to get its file, and the file's form.
  public var origin = ""
  /// The licence of its rows.
  public var licence = ""
  /// The text of the YAML file.
  public var source = ""
  /// How it is scored, in words.
  public var kind: String { scorer.kind }
  /// The rows.
  public var data = TaskData()
  /// What the model reads.
  package var prompt: Wording
  /// What stands before all prompts, and before what is shown of other rows.
  package var preamble: Wording?
  /// What words the prompt as an instruction; nil: the prompt is all.
  package var template: TaskTemplate?
  /// What stands between a prompt and what follows it.
  package var delimiter = " "
  /// Answered rows before the prompt.
  package var shots: FewShots?
  /// How it is scored.
  package var scorer: TaskScorer
  /// The metric that stands first; nil: the scorer's usual one.
  package var metric: String?
  /// What guessing comes to, of choices and replies; nil: told by the options, where there are any.
  package var chance: TaskChance?

  package init(name: String, prompt: Wording, scorer: TaskScorer) {
    (self.name, self.prompt, self.scorer) = (name, prompt, scorer)
  }

  /// The rows that are asked, and all of them where those that are shown are the task's own: a limit is
  /// of those that are asked.
  ///
  /// - Parameters:
  ///   - path: the file of rows; nil: the task's.
  ///   - limit: how many are asked at most; nil: all.
  /// - Returns: the rows, and what tells their file apart.
  /// - Throws: as reading rows.
  func rows(_ path: String?, limit: Int?) throws(ReFTError) -> TaskData.Content {
    let drawsOwnRows = shots.map { $0.count > 0 && $0.path == nil } ?? false
    return try data.read(path, limit: drawsOwnRows ? nil : limit)
  }
}

/// What words a prompt as an instruction.
package enum TaskTemplate: Sendable, Equatable {
  /// A template of this program's, chosen by the task.
  case chosen(Template)
  /// That of each adapter's training; none for the frozen model.
  case adapters
}

/// What guessing comes to.
package enum TaskChance: Sendable, Equatable {
  /// The same for all rows.
  case value(Double)
  /// One over the items of a field.
  case oneOf(String)
}

/// Answered rows that are shown before the prompt.
package struct FewShots: Sendable {
  /// How many.
  package var count: Int
  /// The file that they are drawn from; nil: the task's own rows, never the row that is asked.
  package var path: String?
  /// What draws them; nil takes the first ones.
  package var seed: UInt64? = 1234
  /// What stands behind each.
  package var separator = "\n\n"
  /// How one is answered; nil: as the scorer has it.
  package var answer: Wording?

  /// Describes them.
  package init(count: Int) { self.count = count }
}

/// How a task is scored.
package enum TaskScorer: Sendable {
  /// The option whose text is the likeliest.
  case choice(ChoiceRule)
  /// What is written, and what is taken out of it.
  case generation(GenerationRule)
  /// What a head answers.
  case head(HeadRule)
  /// How well running text is predicted.
  case perplexity(PerplexityRule)

  /// Its name in files and messages.
  package var kind: String {
    switch self {
    case .choice: "choice by likelihood"
    case .generation(let rule): rule.outputs == nil ? "generation" : "outputs for a judge"
    case .head(let rule): rule.isRegression ? "regression by a head" : "classes by a head"
    case .perplexity: "perplexity"
    }
  }
}

/// Options to choose from by likelihood.
package struct ChoiceRule: Sendable {
  /// Where the options come from.
  package enum Options: Sendable {
    /// The same wordings for all rows.
    case wordings([Wording])
    /// A list of the row.
    case list(Wording)
  }

  /// The options.
  package var options: Options
  /// Names of the options, by which an answer may call them.
  package var labels: [String] = []
  /// Which option is right: one of the labels, an option, or a number from 0.
  package var answer: Wording
  /// What the likelihood is of, with `{option}` and `{label}`; nil: the option.
  package var text: Wording?
  /// Whether prompt and option are tokenised together, as lm-evaluation-harness does, and parted where
  /// the prompt's own tokens end; else apart, as rows to train on are.
  package var isTogether = true
}

/// What is generated, and what counts as the answer.
package struct GenerationRule: Sendable {
  /// The most tokens.
  package var maxTokens = 256
  /// Texts that end an answer.
  package var stop: [String] = []
  /// How tokens are drawn; greedily by default.
  package var sampling = SamplingOptions()
  /// What is right.
  package var answer: Wording
  /// What is taken out of a reply; each gives a measure.
  package var extractions: [Extraction] = [Extraction()]
  /// How both sides are made alike.
  package var normaliser = Normaliser.text
  /// Replies for a judge in place of a measure; nil: there is a right answer.
  package var outputs: OutputRule?
}

/// Replies that another program judges, as Alpaca-Eval does.
package struct OutputRule: Sendable {
  /// What was asked, as the file tells it.
  package var instruction: Wording
  /// Which part of the rows a row belongs to.
  package var dataset: Wording?
}

/// What a head answers.
package struct HeadRule: Sendable {
  /// The text.
  package var text: Wording
  /// The second text.
  package var pair: Wording?
  /// The label, or the number.
  package var label: Wording
  /// Whether the answer is a number.
  package var isRegression = false
}

/// How well running text is predicted.
package struct PerplexityRule: Sendable {
  /// The text.
  package var text: Wording
  /// The most tokens that are read at once; nil: the model's context.
  package var window: Int?
}
