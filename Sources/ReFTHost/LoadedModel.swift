// SPDX-License-Identifier: Apache-2.0
// A model with its words: what commands open, and what training and generation work with.

public import ReFTModel
public import ReFTTensor
public import ReFTText

/// A frozen model together with what turns text into its tokens.
public final class LoadedModel: Sendable {
  /// The weights.
  public let frozen: FrozenModel
  /// The tokenizer and the chat template.
  public let text: ModelText
  /// The head for classes that the model has of its own; nil for others.
  public let ownHead: HeadSpec?

  /// Opens a model; weights are mapped, not read.
  ///
  /// - Throws: `inputMissing`, `inputOutput`, or `badData` naming the metadata key or tensor.
  public init(path: String) throws(ReFTError) {
    let source = try ModelFiles.open(path)
    frozen = try FrozenModel(source: source)
    text = try ModelText(source)
    ownHead = HeadSpec(frozen.plan, source.metadata)
  }

  /// The model's shape.
  public var configuration: ModelConfiguration { frozen.configuration }
  /// What tells this model apart from others.
  public var fingerprint: String { frozen.fingerprint }
  /// The file that the model was read from.
  public var path: String { frozen.path }
  /// The model's tokenizer.
  public var tokenizer: Tokenizer { text.tokenizer }
}
