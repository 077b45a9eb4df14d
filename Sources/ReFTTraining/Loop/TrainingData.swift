// SPDX-License-Identifier: Apache-2.0
// The rows of a run: read, split, and checked against its positions.

import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText

/// The training and validation rows of a run.
struct TrainingData {
  let training: DataSet
  let validation: DataSet?
  /// The head that the rows teach; nil where tokens are learnt.
  let head: HeadSpec?
  /// Rows of which no position rule edits any token; nil before they are checked, and where nothing is
  /// edited but the head's part.
  private(set) var unedited: (training: Int, validation: Int)?

  /// Reads the files that a configuration names.
  init(_ configuration: RunConfiguration, model: LoadedModel) throws(ReFTError) {
    let options = configuration.data
    var reading = DataSet.Options()
    reading.template = options.template
    reading.maxLength = options.maxLength
    reading.contextLength = model.configuration.contextLength
    reading.overlong = options.overlong
    reading.appendsEndOfSequence = options.appendsEndOfSequence
    reading.limit = options.limit
    reading.format = options.format
    reading.hasPreferences = configuration.train.preference != nil
    reading.readsSources = true
    head = try Self.head(configuration, model: model)
    reading.head = head ?? model.ownHead
    let all = try DataSet(
      path: options.train,
      options: reading,
      coder: model.tokenizer,
      chatTemplate: model.text.chatTemplate
    )
    switch options.validation {
    case .none:
      (training, validation) = (all, nil)
    case .fraction(let fraction):
      (training, validation) = try all.split(fraction: fraction, seed: configuration.train.seed)
    case .file(let path):
      reading.limit = options.validationLimit
      training = all
      validation = try DataSet(
        path: path,
        options: reading,
        coder: model.tokenizer,
        chatTemplate: model.text.chatTemplate
      )
    }
  }

  /// The head of a configuration, with the labels of the training rows where it names none.
  private static func head(
    _ configuration: RunConfiguration,
    model: LoadedModel
  ) throws(ReFTError) -> HeadSpec? {
    guard let head = configuration.head else { return nil }
    if let labels = head.labels { return head.spec(model.configuration, labels: labels) }
    let labels = try LabelSet.survey(
      path: configuration.data.train,
      format: configuration.data.format,
      limit: configuration.data.limit,
      task: head.task
    )
    return head.spec(model.configuration, labels: labels)
  }

  /// Makes sure that every position rule finds its tokens in every row, before the first step.
  ///
  /// - Returns: what is worth a word, in sentences.
  /// - Throws: what the rule says, with the place of the row; `badData` where a rule edits nothing in
  ///   any row to learn from.
  mutating func check(_ adapter: Adapter, tokenizer: Tokenizer) throws(ReFTError) -> [String] {
    let specs = adapter.specs
    var (notes, rows) = try training.checkEdits(specs, tokenizer: tokenizer, mustEdit: true)
    for set in [training, validation].compactMap(\.self) {
      notes += try set.checkSources(AdapterStack(adapter))
    }
    guard let validation else {
      if !specs.isEmpty { unedited = (rows, 0) }
      return notes
    }
    let held = try validation.checkEdits(specs, tokenizer: tokenizer, mustEdit: false)
    if !specs.isEmpty { unedited = (rows, held.unedited) }
    return notes + held.notes
  }
}

extension InterventionOptions {
  /// The intervention at the layers of a model.
  func spec(layers count: Int) throws(ReFTError) -> InterventionSpec {
    if let layer = layers?.first(where: { $0 >= count }) {
      throw ReFTError(
        .badConfiguration,
        "\(place): 'layers' names block \(layer), but the model has blocks 0 to \(count - 1)"
      )
    }
    return InterventionSpec(
      plugin: plugin,
      layers: layers ?? Array(0..<count),
      component: component,
      positions: positions,
      options: options,
      isolation: isolation,
      sharing: sharing,
      heads: heads,
      tie: tie,
      auxiliaryWeight: auxiliaryWeight
    )
  }
}
