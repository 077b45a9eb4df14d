// SPDX-License-Identifier: Apache-2.0
// One line of metrics.jsonl.

import Foundation
package import ReFTTensor

/// What one optimiser step measured; the keys in the file are the names in snake case.
public struct StepRecord: Codable, Sendable, Equatable {
  /// The step, from 1.
  public var step: Int
  /// How many times the data has been seen after this step, such as 0.25.
  public var epoch: Double
  /// The mean over all label tokens of the batch, in nats, before the step.
  public var loss: Double
  /// The global norm of the gradient, before clipping.
  public var gradNorm: Double
  /// The learning rate of the step.
  public var learningRate: Double
  /// What else is measured of the batch: of pairs of answers, accuracy and margin.
  public var metrics: MetricValues?
  /// What auxiliary losses add to the loss: their weighted sum over the edited rows of the batch, divided by
  /// its sequences; nil where no plugin has one.
  public var auxiliary: Double?
  /// The rates of interventions and a head that have their own, such as those of `interventions.1`.
  public var learningRates: [String: Double]?
  /// Tokens of the batch.
  public var tokens: Int
  /// Tokens of the batch that were learnt.
  public var labelTokens: Int
  /// Wall time of the step, without validation and saving.
  public var seconds: Double
  /// Tokens of the batch over the wall time of the step.
  public var tokensPerSecond: Double
  /// The most memory that the process has held so far.
  public var peakRssBytes: Int
  /// The mean over all label tokens of the validation rows, where this step ends with a validation.
  public var validationLoss: Double?
  /// What auxiliary losses would add there.
  public var validationAuxiliary: Double?
  /// What a head's answers to the validation rows are worth.
  public var validationMetrics: MetricValues?
  /// What the adapter came to at tasks, by `TASK.METRIC`.
  public var taskMetrics: [String: Double]?

  enum CodingKeys: String, CodingKey {
    case step, epoch, loss, metrics, tokens, seconds, auxiliary
    case gradNorm = "grad_norm"
    case learningRate = "learning_rate"
    case learningRates = "learning_rates"
    case labelTokens = "label_tokens"
    case tokensPerSecond = "tokens_per_second"
    case peakRssBytes = "peak_rss_bytes"
    case validationLoss = "validation_loss"
    case validationAuxiliary = "validation_auxiliary"
    case validationMetrics = "validation_metrics"
    case taskMetrics = "task_metrics"
  }

  /// A name as JSON writes it.
  private static func quoted(_ name: String) -> String {
    var result = "\""
    for scalar in name.unicodeScalars {
      switch scalar {
      case "\"", "\\": result += "\\\(scalar)"
      case _ where scalar.value < 0x20: result += String(format: "\\u%04x", scalar.value)
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  /// The record as one line of JSON, keys in the order of the contract.
  var line: String {
    var fields = [
      "\"step\":\(step)", "\"epoch\":\(epoch)", "\"loss\":\(loss)", "\"grad_norm\":\(gradNorm)",
      "\"learning_rate\":\(learningRate)", "\"tokens\":\(tokens)",
      "\"label_tokens\":\(labelTokens)", "\"seconds\":\(seconds)",
      "\"tokens_per_second\":\(tokensPerSecond)", "\"peak_rss_bytes\":\(peakRssBytes)",
    ]
    if let metrics { fields.append("\"metrics\":\(metrics.json)") }
    if let auxiliary { fields.append("\"auxiliary\":\(auxiliary)") }
    if let learningRates {
      let rates = learningRates.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\($0.value)" }
      fields.append("\"learning_rates\":{\(rates.joined(separator: ","))}")
    }
    if let validationLoss { fields.append("\"validation_loss\":\(validationLoss)") }
    if let validationAuxiliary {
      fields.append("\"validation_auxiliary\":\(validationAuxiliary)")
    }
    if let validationMetrics {
      fields.append("\"validation_metrics\":\(validationMetrics.json)")
    }
    if let taskMetrics {
      let values = taskMetrics.sorted { $0.key < $1.key }.map { "\(Self.quoted($0)):\($1)" }
      fields.append("\"task_metrics\":{\(values.joined(separator: ","))}")
    }
    return "{" + fields.joined(separator: ",") + "}\n"
  }
}

/// The file metrics.jsonl of a run: one record per step, written as it happens.
package final class MetricsFile {
  private let path: String
  private let descriptor: Int32

  /// Opens the file, and drops the records of steps after a given one.
  ///
  /// A killed run leaves steps that its last checkpoint does not know, and perhaps half a line.
  init(path: String, keepingThrough step: Int) throws(ReFTError) {
    self.path = path
    let kept = try Self.read(path: path).filter { $0.step <= step }
    try AtomicFile.write(kept.map(\.line).joined(), to: path)
    descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
    guard descriptor >= 0 else { throw .cannotWrite(path, errno: errno) }
  }

  deinit { close(descriptor) }

  /// All whole records of a file; none where there is no file.
  package static func read(path: String) throws(ReFTError) -> [StepRecord] {
    guard let data = FileManager.default.contents(atPath: path) else { return [] }
    var records: [StepRecord] = []
    let lines = data.split(separator: 0x0A)
    for (index, line) in lines.enumerated() {
      do {
        records.append(try JSONFile.decode(Array(line), path: path))
      } catch {
        // Only the last line can be torn by a kill.
        guard index == lines.count - 1, data.last != 0x0A else {
          throw .brokenMetrics(path: path, line: index + 1, error: error)
        }
      }
    }
    return records
  }

  /// Adds a record; the system has it when the call returns.
  func append(_ record: StepRecord) throws(ReFTError) {
    var rest = Array(record.line.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 {
        if errno == EINTR { continue }
        throw .cannotWrite(path, errno: errno)
      }
      rest = rest.dropFirst(count)
    }
  }

  /// Forces the records to the disk.
  func synchronize() throws(ReFTError) {
    guard fsync(descriptor) == 0 else { throw .cannotWrite(path, errno: errno) }
  }
}

/// What the process has used.
enum ProcessMemory {
  /// Makes the peak begin anew, where the system allows it: of several runs in a process each has
  /// its own.
  static func resetPeak() {
    let descriptor = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    _ = "5".withCString { write(descriptor, $0, 1) }
    close(descriptor)
  }

  /// The most memory that the process has held, in bytes.
  ///
  /// From /proc: getrusage would count what a parent held before it started this program.
  static func peak() -> Int {
    let status = FileManager.default.contents(atPath: "/proc/self/status") ?? Data()
    let lines = String(decoding: status, as: UTF8.self).split(separator: "\n")
    let line = lines.first { $0.hasPrefix("VmHWM:") }
    return line.flatMap { Int($0.filter(\.isNumber)) }.map { $0 * 1024 } ?? 0
  }
}
