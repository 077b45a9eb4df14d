// SPDX-License-Identifier: Apache-2.0
// What can go wrong between a model and an edit session.

import ReFTModel
import ReFTTensor

extension ReFTError {
  static func severalAdaptersInTraining(_ count: Int) -> ReFTError {
    ReFTError(
      .usage,
      "a training batch carries \(count) adapters; train one adapter at a time"
    )
  }

  static func gradientLayout(found: Int, expected: Int) -> ReFTError {
    ReFTError(
      .internalFault,
      "the gradient buffer has \(found) values and the adapter \(expected); make it with "
        + "ParameterStore.makeGradients()"
    )
  }

  static func noCounterpart(_ plugin: String) -> ReFTError {
    ReFTError(
      .usage,
      "plugin '\(plugin)' takes rows of a run over a source prompt (REFT_CAP_NEEDS_COUNTERPART), and there "
        + "is none; give rows the field \"source_prompt\", or --source-prompt"
    )
  }

  static func counterpartMismatch(
    _ plugin: String,
    rule: PositionRule,
    found: Int,
    source: Int
  ) -> ReFTError {
    ReFTError(
      .usage,
      "plugin '\(plugin)' puts rows of the source prompt in place of the prompt's, location by location, "
        + "but positions '\(rule)' are \(found) of the prompt and \(source) of the source prompt; take a "
        + "rule with as many of both, such as l1, or prompts of the same length"
    )
  }

  static func notTraining() -> ReFTError {
    ReFTError(
      .internalFault,
      "a backward pass reached an edit session made for inference; make it in training mode"
    )
  }

  static func sourceMismatch(site: Site, found: Int, expected: Int) -> ReFTError {
    ReFTError(
      .internalFault,
      "what the layer reads at \(site) has \(found) numbers and the adapter was made for \(expected); "
        + "load it with the model that the pass runs"
    )
  }

  static func widthMismatch(site: Site, found: Int, expected: Int) -> ReFTError {
    ReFTError(
      .internalFault,
      "the rows at \(site) have \(found) numbers and the adapter was made for \(expected); load it "
        + "with the model that the pass runs"
    )
  }
}
