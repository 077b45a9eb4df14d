// SPDX-License-Identifier: Apache-2.0
// The model that an adapter belongs to.

public import ReFTModel
public import ReFTText

/// What an adapter must know of the frozen model that it edits.
public struct BaseModel: Sendable {
  /// The sizes of the model.
  public var configuration: ModelConfiguration
  /// What tells it apart from others.
  public var fingerprint: String
  /// Tells the text of tokens, for positions that look for one.
  public var tokenizer: Tokenizer?

  /// Describes a model.
  public init(configuration: ModelConfiguration, fingerprint: String, tokenizer: Tokenizer? = nil) {
    self.configuration = configuration
    self.fingerprint = fingerprint
    self.tokenizer = tokenizer
  }

  /// Describes an open model.
  public init(_ model: LoadedModel) {
    self.init(
      configuration: model.configuration,
      fingerprint: model.fingerprint,
      tokenizer: model.tokenizer
    )
  }
}

/// The base model as an adapter file names it.
public struct BaseModelReference: Sendable, Hashable {
  /// The model's own name.
  public var name: String
  /// The family, such as `llama`.
  public var architecture: String
  /// The width of the residual stream.
  public var hiddenSize: Int
  /// The number of blocks.
  public var layers: Int
  /// `sha256:…`; nil where the file does not say.
  public var fingerprint: String?

  /// Names a model.
  public init(
    name: String,
    architecture: String,
    hiddenSize: Int,
    layers: Int,
    fingerprint: String?
  ) {
    self.name = name
    self.architecture = architecture
    self.hiddenSize = hiddenSize
    self.layers = layers
    self.fingerprint = fingerprint
  }

  /// Names an open model.
  public init(_ base: BaseModel) {
    self.init(
      name: base.configuration.name,
      architecture: base.configuration.architecture,
      hiddenSize: base.configuration.hiddenSize,
      layers: base.configuration.layers,
      fingerprint: base.fingerprint
    )
  }
}
