// SPDX-License-Identifier: Apache-2.0
// The seam between training and what measures an adapter at tasks: the loop knows names and numbers, and
// nothing of how they come about.

public import ReFTHost

/// One measure of a task, as a run keeps it.
public struct JudgedMeasure: Sendable, Equatable {
  /// `TASK.METRIC`.
  public var name: String
  /// Its value.
  public var value: Double
  /// Its standard error over the task's rows; nil where there is none.
  public var standardError: Double?

  /// Names a value.
  public init(name: String, value: Double, standardError: Double? = nil) {
    (self.name, self.value, self.standardError) = (name, value, standardError)
  }
}

/// What measures an adapter at tasks while it is trained.
public protocol TrainingJudge: AnyObject {
  /// The names of all measures, and whether more is better.
  var measures: [(name: String, isHigherBetter: Bool)] { get }

  /// What must be the same when a run goes on, by name: hashes of rows and of tasks.
  var facts: [String: String] { get }

  /// Measures the adapter as it is now.
  ///
  /// - Throws: errors of rows with file and line; what the model or a plugin throws.
  func judge(_ adapter: Adapter) throws -> [JudgedMeasure]
}
