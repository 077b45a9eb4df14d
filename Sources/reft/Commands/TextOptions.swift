// SPDX-License-Identifier: Apache-2.0
// Options of commands that look at texts without learning from them: which, and how many at once.

import ArgumentParser
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText
import ReFTTraining

/// The texts that a command looks at.
struct TextOptions: ParsableArguments {
  @Option(help: "Texts: one JSON object per line, one JSON list, or a table of GLUE.")
  var data: String

  @Option(help: "How the data is written: json or glue/…; by default by its name.")
  var format: DataFormat?
}

/// How many tokens go through the model at once.
struct PassOptions: ParsableArguments {
  @Option(
    name: .customLong("micro-batch-tokens"),
    help: "The most tokens of one pass: the knob of peak memory."
  )
  var microBatchTokens = 1024

  func validate() throws { try Self.check(microBatchTokens) }

  /// Refuses a number of tokens that no pass takes.
  static func check(_ microBatchTokens: Int) throws {
    guard (1...1_048_576).contains(microBatchTokens) else {
      throw ValidationError(
        "--micro-batch-tokens is \(microBatchTokens); it must be from 1 to 1048576"
      )
    }
  }
}

/// How long a text may be, and how many tokens are read at once.
struct TextPassOptions: ParsableArguments {
  @Option(
    name: .customLong("max-length"),
    help: ArgumentHelp(
      "Cut longer texts to so many tokens; without it a text beyond the model's context is an error.",
      valueName: "tokens"
    )
  )
  var maxLength: Int?
  @OptionGroup private var pass: PassOptions

  /// The most tokens of one pass.
  var microBatchTokens: Int { pass.microBatchTokens }

  /// Reads texts for a model; all rows where `limit` is nil.
  func read(_ texts: TextOptions, for model: LoadedModel, limit: Int? = nil) throws -> DataSet {
    var options = DataSet.Options()
    options.isUnlabelled = true
    options.format = texts.format
    options.limit = limit
    options.contextLength = model.configuration.contextLength
    options.maxLength = maxLength ?? .max
    options.overlong = maxLength == nil ? .error : .cut
    options.caller = .options
    return try DataSet(
      path: texts.data,
      options: options,
      coder: model.tokenizer,
      chatTemplate: nil
    )
  }
}
