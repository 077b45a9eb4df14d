// SPDX-License-Identifier: Apache-2.0
// What a model came to at a task.

import Foundation

/// One measure of one contender at one task.
public struct TaskResult: Sendable, Equatable, Encodable {
  /// The task.
  public var task: String
  /// Who was asked: an adapter's name, or "frozen".
  public var adapter: String
  /// The measure.
  public var metric: String
  /// Its value.
  public var value: Double
  /// The standard error of the value over the rows; nil where there is none.
  public var standardError: Double?
  /// What guessing comes to; nil where that has no meaning.
  public var chance: Double?
  /// How many rows were asked.
  public var count: Int
  /// Wall time of the task, for all contenders together.
  public var seconds: Double
  /// Whether this is the measure that stands for the task.
  public var isMain: Bool

  private enum CodingKeys: String, CodingKey {
    case task, adapter, metric, value, chance, seconds
    case standardError = "stderr"
    case count = "n"
  }

  /// Writes the keys of the contract; what is not there is null.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(task, forKey: .task)
    try container.encode(adapter, forKey: .adapter)
    try container.encode(metric, forKey: .metric)
    try container.encode(value, forKey: .value)
    try container.encode(standardError, forKey: .standardError)
    try container.encode(chance, forKey: .chance)
    try container.encode(count, forKey: .count)
    try container.encode(seconds, forKey: .seconds)
  }
}

/// What became of one row for one contender; a line of the outputs file.
public struct RowOutcome: Codable, Sendable, Equatable {
  /// The row's number, from 0.
  public var row: Int
  /// Its line in the file.
  public var line: Int
  /// What the model read.
  public var prompt: String?
  /// What it wrote.
  public var reply: String?
  /// How many tokens that has.
  public var replyTokens: Int?
  /// What was taken out of the reply, by the extraction's name.
  public var extracted: [String: String]?
  /// What is right.
  public var answer: String?
  /// The options.
  public var options: [String]?
  /// The log-likelihood of each, in nats.
  public var logLikelihoods: [Double]?
  /// The outputs of a head.
  public var outputs: [Float]?
  /// The log-likelihood of a running text, in nats, and its size.
  public var logLikelihood: Double?
  /// How many tokens it has.
  public var tokens: Int?
  /// How many words, parted by white space.
  public var words: Int?
  /// How many bytes of UTF-8.
  public var bytes: Int?
  /// The measures of the row.
  public var scores: [String: Double] = [:]
  /// What guessing comes to at this row.
  public var chance: Double?

  /// An outcome of a row.
  init(_ row: TaskRow) { (self.row, line) = (row.number, row.line) }

  private enum CodingKeys: String, CodingKey {
    case row, line, prompt, reply, extracted, answer, options, outputs, tokens, words, bytes, scores
    case chance
    case replyTokens = "reply_tokens"
    case logLikelihoods = "log_likelihoods"
    case logLikelihood = "log_likelihood"
  }
}

/// A measure over all rows, before anybody knows whose it is.
struct Measure: Equatable {
  var metric: String
  var value: Double
  var standardError: Double?
  var chance: Double?
}
