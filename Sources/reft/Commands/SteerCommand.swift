// SPDX-License-Identifier: Apache-2.0
// `reft steer`: steering vectors, and the options that its parts share.

import ArgumentParser
import ReFTHost
import ReFTModel
import ReFTSteering
import ReFTTensor

struct SteerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "steer",
    abstract:
      "Steering vectors: find directions in hidden states, try strengths, see side effects.",
    subcommands: [Extract.self, Sweep.self]
  )
}

/// The texts of a contrast, and how they become tokens.
struct ContrastOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Pairs or labelled texts: JSON lines, a JSON list, or a table in a .tsv or .csv file.",
      valueName: "file"
    )
  )
  var data: String?

  @Option(
    name: .customLong("positive-data"),
    help: ArgumentHelp("Texts of the quality, in a file of their own.", valueName: "file")
  )
  var positiveData: String?

  @Option(
    name: .customLong("negative-data"),
    help: ArgumentHelp("Texts of the opposite, in a file of their own.", valueName: "file")
  )
  var negativeData: String?

  @Option(
    help: ArgumentHelp("Beginnings of replies, for pairs made with --template.", valueName: "file")
  )
  var suffixes: String?

  @Flag(help: "Take all beginnings of the suffixes instead of the suffixes.")
  var truncate = false

  @Option(help: ArgumentHelp("The prompt before suffixes, with {} for a word.", valueName: "text"))
  var template: String?

  @Option(
    parsing: .singleValue,
    help: ArgumentHelp(
      "The label to steer to, or a word for --template; may be repeated.",
      valueName: "word"
    )
  )
  var positive: [String] = []

  @Option(
    parsing: .singleValue,
    help: ArgumentHelp(
      "The opposite label, or a word for --template; may be repeated.",
      valueName: "word"
    )
  )
  var negative: [String] = []

  @Flag(help: "Prompts, and texts without one, are a user's messages in the model's chat template.")
  var chat = false

  @Option(
    help: ArgumentHelp("Take so many pairs, or texts of each class, at most.", valueName: "count")
  )
  var limit: Int?

  @Option(
    name: .customLong("max-length"),
    help: ArgumentHelp(
      "Cut longer texts to so many tokens; without it a text beyond the context is an error.",
      valueName: "tokens"
    )
  )
  var maxLength: Int?

  func validate() throws {
    let sources = [data, positiveData ?? negativeData, suffixes].compactMap(\.self).count
    guard sources == 1 else {
      throw ValidationError(
        "give one of --data, --suffixes, or --positive-data with --negative-data, found \(sources)"
      )
    }
    guard (positiveData == nil) == (negativeData == nil) else {
      throw ValidationError("give --positive-data and --negative-data together")
    }
    guard (suffixes == nil) == (template == nil) else {
      throw ValidationError("give --suffixes and --template together")
    }
    if truncate, suffixes == nil {
      throw ValidationError("--truncate makes beginnings of --suffixes, and there are none")
    }
    if positiveData != nil, !positive.isEmpty || !negative.isEmpty {
      throw ValidationError("--positive and --negative name labels or words; files have neither")
    }
    if let limit, limit < 2 { throw ValidationError("--limit must be 2 or more") }
    if let maxLength, maxLength < 1 { throw ValidationError("--max-length must be 1 or more") }
  }

  /// The files that are read.
  var files: [String] { [data, positiveData, negativeData, suffixes].compactMap(\.self) }

  /// Reads the texts.
  func contrast(for model: LoadedModel) throws -> ContrastSet {
    let whole = try read(model)
    return limit.map { whole.first($0) } ?? whole
  }

  private func read(_ model: LoadedModel) throws -> ContrastSet {
    if let data {
      return try ContrastReader(positiveLabels: positive, negativeLabels: negative)
        .read(path: data)
    }
    if let positiveData, let negativeData {
      return try ContrastReader.read(positives: positiveData, negatives: negativeData)
    }
    let expansion = try SuffixExpansion(
      template: template ?? "",
      positiveWords: positive,
      negativeWords: negative
    )
    let texts = try ContrastReader.texts(suffixes ?? "")
    return expansion.pairs(
      with: truncate
        ? try SuffixExpansion.beginnings(of: texts, tokenizer: model.tokenizer) : texts
    )
  }

  /// What turns the texts into tokens.
  func encoder(for model: LoadedModel) -> ContrastEncoder {
    ContrastEncoder(model: model, usesChat: chat, maxLength: maxLength)
  }
}

/// Lists of blocks and numbers, as options have them.
enum NumberList {
  /// Blocks: "all", "10", "2,10", "5-20", and lists of these.
  static func layers(_ text: String, of model: LoadedModel) throws -> [Int] {
    let count = model.configuration.layers
    if text == "all" { return Array(0..<count) }
    var result: Set<Int> = []
    for part in text.split(whereSeparator: { ",;".contains($0) }) {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false).map {
        Int($0.trimmingPrefix(while: { $0 == " " }))
      }
      guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2,
        first <= last
      else {
        throw ReFTError(
          .usage,
          "--layers: '\(part)' is no block; write all, or blocks and ranges such as 5-20 or 2,10"
        )
      }
      guard last < count else {
        throw ReFTError(
          .usage,
          "--layers: '\(part)' is beyond the model, whose blocks are 0 to \(count - 1); name those"
        )
      }
      result.formUnion(first...last)
    }
    guard !result.isEmpty else {
      throw ReFTError(.usage, "--layers names no block; write all, or numbers such as 2,10")
    }
    return result.sorted()
  }

  /// Strengths: "-0.2,0.1,0.4".
  static func strengths(_ text: String) throws -> [Double] {
    var result: [Double] = []
    for part in text.split(whereSeparator: { ",;".contains($0) }) {
      guard let value = Double(part.trimmingPrefix(while: { $0 == " " })), value.isFinite,
        value.magnitude <= 1e6
      else {
        throw ReFTError(
          .usage,
          "--strengths: '\(part)' is no strength; write numbers from -1e6 to 1e6 such as -0.2,0.2"
        )
      }
      if value != 0, !result.contains(value) { result.append(value) }
    }
    guard !result.isEmpty else {
      throw ReFTError(
        .usage,
        "--strengths has no strength but 0, which is measured in any case; write, say, -0.2,0.2"
      )
    }
    return result.sorted()
  }
}
