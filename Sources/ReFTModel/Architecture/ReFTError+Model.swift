// SPDX-License-Identifier: Apache-2.0
// What can be wrong with a model file, and with a batch that a model is given.

package import ReFTTensor

extension ReFTError {
  static func missingMetadata(_ key: String, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' has no usable metadata value '\(key)'; convert the model again, with a "
        + "current converter."
    )
  }

  static func metadataOutOfRange(
    _ key: String,
    _ value: Int,
    _ range: ClosedRange<Int>,
    _ path: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' says \(key) = \(value); expected \(range.lowerBound) to "
        + "\(range.upperBound). The file is damaged or no language model."
    )
  }

  static func unknownArchitecture(_ name: String, known: [String], _ path: String) -> ReFTError {
    let list = known.map { "'\($0)'" }.joined(separator: ", ")
    return ReFTError(
      .badData,
      "Model '\(path)' has architecture '\(name)'; this version runs \(list). Convert or choose "
        + "another model."
    )
  }

  static func headsDoNotFit(
    heads: Int,
    keyValueHeads: Int,
    headSize: Int,
    _ path: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' has \(heads) query heads, \(keyValueHeads) key-value heads and head size "
        + "\(headSize); expected key-value heads that divide the query heads and an even size."
    )
  }

  static func unknownRotation(
    dimensions: Int,
    headSize: Int,
    scaling: String,
    _ path: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' rotates \(dimensions) of \(headSize) dimensions with scaling "
        + "'\(scaling)'; this version rotates at most a whole head, with scaling 'none', 'linear' "
        + "or 'llama3'. Choose another model."
    )
  }

  static func unusedKey(_ key: String, _ value: String, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' says \(key) = \(value), which this version does not compute; its results "
        + "would be wrong. Choose a model without it."
    )
  }

  static func unusedTensors(_ names: [String], _ path: String) -> ReFTError {
    let more = names.count > 4 ? " and \(names.count - 4) more" : ""
    let list = names.prefix(4).map { "'\($0)'" }.joined(separator: ", ")
    return ReFTError(
      .badData,
      "Model '\(path)' holds tensors that this version does not compute with: \(list)\(more); its "
        + "results would be wrong without them. Choose a model without them."
    )
  }

  static func notAModel(_ kind: String, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "File '\(path)' holds general.type '\(kind)', expected 'model'. Give the file of the language "
        + "model itself."
    )
  }

  static func hasExperts(_ count: Int, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' is a mixture of \(count) experts; this version runs models with one MLP a "
        + "block. Choose a dense model."
    )
  }

  static func quantisedFolder(_ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' has a 'quantization_config'; this version reads folders with F32, F16 or BF16 "
        + "weights. Take the unquantised folder, or a GGUF file of the model."
    )
  }

  static func twoScalings(_ tensor: String, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' scales its rotation by a factor and by the tensor '\(tensor)'; expected one of "
        + "both. Convert the model again, with a current converter."
    )
  }

  static func layerTypes(_ count: Int, layers: Int, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' names \(count) layer types for \(layers) layers; expected one for each. The "
        + "file is damaged."
    )
  }

  package static func columnsOutsideRows(_ columns: Range<Int>, width: Int, _ site: Site)
    -> ReFTError
  {
    ReFTError(
      .usage,
      "An edit at \(site) asks for the numbers \(columns.lowerBound) to \(columns.upperBound - 1) of "
        + "rows of \(width). Choose among these."
    )
  }

  static func valueSize(_ valueSize: Int, keySize: Int, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' has value heads of size \(valueSize) beside key heads of size \(keySize); "
        + "this version runs models where both are the same. Choose another model."
    )
  }

  static func moreTokensThanRows(tokens: Int, rows: Int, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' has \(tokens) tokens but \(rows) embedding rows; expected a row for every "
        + "token. Convert the model again, together with its own tokenizer."
    )
  }

  static func rotationFactor(_ factor: Float, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Tensor 'rope_freqs.weight' of model '\(path)' holds the factor \(factor); expected positive "
        + "numbers. The file is damaged."
    )
  }

  static func missingTensor(_ name: String, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Model '\(path)' has no tensor '\(name)' of the expected rank; the file is incomplete."
    )
  }

  static func tensorShape(
    _ name: String,
    found: [Int],
    expected: [Int],
    _ path: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "Tensor '\(name)' of model '\(path)' has dimensions \(found); expected \(expected) from the "
        + "model's metadata. The file is damaged."
    )
  }

  static func tokenOutOfRange(_ token: Int32, at index: Int, vocabularySize: Int) -> ReFTError {
    ReFTError(
      .badData,
      "Token \(index) of the batch has id \(token); expected 0 to \(vocabularySize - 1). The ids "
        + "belong to another tokenizer."
    )
  }

  static func sequenceTooLong(_ count: Int, contextLength: Int) -> ReFTError {
    ReFTError(
      .badData,
      "A sequence has \(count) tokens; the model's context holds \(contextLength). Shorten the "
        + "text or lower the number of new tokens."
    )
  }

  static func emptySequence() -> ReFTError {
    ReFTError(.badData, "A sequence has no tokens; expected at least one. Give a text.")
  }

  static func siteOutsideModel(_ site: Site, layers: Int) -> ReFTError {
    ReFTError(
      .usage,
      "An edit is asked for at \(site); the model has blocks 0 to \(layers - 1). Choose one of "
        + "these."
    )
  }

  static func blockOutsideModel(_ block: Int, layers: Int) -> ReFTError {
    ReFTError(
      .usage,
      "A pass is to start at block \(block); the model has blocks 0 to \(layers - 1). Choose one "
        + "of these."
    )
  }

  static func startAboveEdit(_ site: Site, start: Int) -> ReFTError {
    ReFTError(
      .usage,
      "An edit is asked for at \(site), but the pass starts at block \(start). Start at the lowest "
        + "edited block or below, or right behind its output."
    )
  }

  static func startAboveUpdate(block: Int, start: Int) -> ReFTError {
    ReFTError(
      .usage,
      "A product of block \(block) is updated, but the pass starts at block \(start). Start at block "
        + "\(block) or below."
    )
  }

  static func updateOfOtherModel(
    _ projection: BlockProjection,
    block: Int,
    found: (inputs: Int, outputs: Int),
    expected: (inputs: Int, outputs: Int)
  ) -> ReFTError {
    ReFTError(
      .usage,
      "An update of \(projection.rawValue) of block \(block) takes \(found.inputs) numbers to "
        + "\(found.outputs); the model's own takes \(expected.inputs) to \(expected.outputs). Use the "
        + "adapter with the model that it was made for."
    )
  }

  static func startBehindSource(_ site: Site, start: Int) -> ReFTError {
    ReFTError(
      .usage,
      "An edit at \(site) reads what that block read, but the pass starts at block \(start). Start at "
        + "block \(site.block) or below."
    )
  }

  package static func siteWithoutSource(_ site: Site) -> ReFTError {
    ReFTError(
      .usage,
      "An edit asks for what the layer that makes \(site) reads; there is no such row for each token. "
        + "Edit the output of a block, a branch or a projection."
    )
  }

  static func startOfAnotherBatch(floats: Int, expected: Int) -> ReFTError {
    ReFTError(
      .usage,
      "A pass is to start from \(floats) numbers; its batch has \(expected). Use the block input "
        + "of the same batch."
    )
  }

  static func outputOutOfRange(_ token: Int32, tokens: Int) -> ReFTError {
    ReFTError(
      .usage,
      "The final state of token \(token) is asked for; expected ascending numbers from 0 to "
        + "\(tokens - 1). Name each token of the batch at most once."
    )
  }

  package static func predictsNoTokens(_ architecture: String, _ path: String) -> ReFTError {
    ReFTError(
      .usage,
      "Model '\(path)' of the family '\(architecture)' predicts no tokens; this asks for a model that "
        + "does. Use it for classes or embeddings of whole texts, or choose a language model."
    )
  }

  static func predictsNoClasses(_ architecture: String, _ path: String) -> ReFTError {
    ReFTError(
      .usage,
      "Model '\(path)' of the family '\(architecture)' has no head for classes. Choose a model that "
        + "was trained to classify, or train a head on its hidden states."
    )
  }

  static func classOutOfRange(_ found: [Int], texts: Int, classes: Int) -> ReFTError {
    ReFTError(
      .usage,
      "The classes \(found) are given for \(texts) texts; expected one for each, from 0 to "
        + "\(classes - 1), which are what the model tells apart."
    )
  }

  static func tokenTypeOutOfRange(_ type: Int32, types: Int) -> ReFTError {
    ReFTError(
      .badData,
      "A token has the type \(type); the model knows \(types) types, from 0. Give the text as one."
    )
  }

  static func transposedBlocks(_ tensor: String, _ type: String, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Tensor '\(tensor)' of model '\(path)' is stored transposed and in blocks of \(type); expected "
        + "F32, F16 or BF16. Take the unquantised folder, or a GGUF file of the model."
    )
  }

  static func cacheUsedTwice() -> ReFTError {
    ReFTError(
      .usage,
      "Two sequences of a step have the same cache; expected one cache for each. Make a cache for "
        + "every sequence."
    )
  }

  package static func cacheOfOtherDevice() -> ReFTError {
    ReFTError(
      .usage,
      "The cache of a sequence belongs to another device than the runtime that steps; expected one "
        + "of its own. Make caches by the runtime that uses them."
    )
  }

  static func truncatedBehindWindow(_ count: Int, of held: Int, window: Int) -> ReFTError {
    ReFTError(
      .usage,
      "A cache of \(held) tokens cannot go back to \(count), as blocks with a window of \(window) "
        + "have given back what lies before it. Go back by at most \(CachePages.tokenCount) tokens, "
        + "or to 0 and read the text again."
    )
  }
}
