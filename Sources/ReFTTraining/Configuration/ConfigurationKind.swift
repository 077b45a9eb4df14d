// SPDX-License-Identifier: Apache-2.0
// What YAML files describe, as far as an empty one is told what it lacks.

/// What a YAML file describes.
package enum ConfigurationKind {
  /// A training run.
  case run
  /// What `reft eval` does.
  case evaluation
  /// A sweep of runs.
  case sweep
  /// A task.
  case task

  /// What an empty file is told.
  var emptiness: String {
    switch self {
    case .run:
      "the configuration is empty; it needs at least model, data.train and interventions"
    case .evaluation: "the evaluation is empty; it needs at least model and tasks"
    case .sweep:
      "the sweep is empty; it needs at least base, the configuration that its runs start from"
    case .task:
      "the task is empty; it needs at least a scorer, such as choice, and prompt, what the model reads"
    }
  }
}
