// SPDX-License-Identifier: Apache-2.0
// The sizes of a model, for those who need no more of its plan.

public import ReFTTensor

/// The sizes and names of a decoder-only transformer.
public struct ModelConfiguration: Sendable, Equatable {
  /// The model's own name.
  public var name: String
  /// The family, such as "llama".
  public var architecture: String
  /// How many blocks there are.
  public var layers: Int
  /// The width of the residual stream, d.
  public var hiddenSize: Int
  /// How many query heads there are.
  public var heads: Int
  /// How many key and value heads there are; divides `heads`.
  public var keyValueHeads: Int
  /// The width of a head.
  public var headSize: Int
  /// The width of the MLP.
  public var feedForwardSize: Int
  /// Whether its MLPs have a gate.
  public var hasGate: Bool
  /// Whether the rows of queries and keys lie as GGUF has Llama's: numbers that turn together are
  /// neighbours, where Hugging Face has each in its half of the head.
  public var hasReorderedHeads: Bool
  /// How many tokens the model knows.
  public var vocabularySize: Int
  /// The longest sequence the model was made for, in tokens.
  public var contextLength: Int
  /// Whether every token sees all others, as in models that read and do not write.
  public var isEncoder: Bool
  /// The number format of the weights: the mix that the file names, such as "Q4_K_M", or the most common.
  public var fileType: String

  /// The width of all query heads together.
  public var queryWidth: Int { heads * headSize }
  /// The width of all key heads together, and of all value heads.
  public var keyValueWidth: Int { keyValueHeads * headSize }

  /// The sizes of a plan, which are the same in all its blocks.
  ///
  /// - Precondition: the plan has a block.
  public init(_ plan: ModelPlan, fileType: String) {
    let block = plan.blocks[0]
    name = plan.name
    architecture = plan.architecture
    layers = plan.blocks.count
    hiddenSize = plan.hiddenSize
    heads = block.attention.heads
    keyValueHeads = block.attention.keyValueHeads
    headSize = block.attention.headSize
    feedForwardSize = block.mlp.down.columns
    hasGate = block.mlp.gate != nil
    hasReorderedHeads = block.attention.rotation?.pairs == .neighbours
    vocabularySize = plan.embedding.weight.rows
    contextLength = plan.contextLength
    isEncoder = plan.isEncoder
    self.fileType = fileType
  }

  /// Reads the sizes of a stored model, and checks what it holds.
  ///
  /// - Throws: `badData` naming the key or tensor.
  public init(_ source: any TensorSource) throws(ReFTError) {
    self.init(
      try Architectures.plan(source),
      fileType: source.fileType
    )
  }

  /// The width of a row at a component, in floats.
  public func width(of component: Component) -> Int {
    switch component {
    case .blockInput, .blockOutput, .attentionInput, .attentionOutput, .mlpInput, .mlpOutput:
      hiddenSize
    case .queryOutput, .attentionValueOutput: queryWidth
    case .keyOutput, .valueOutput: keyValueWidth
    case .mlpActivation: feedForwardSize
    }
  }

  /// Numbers in a row of what the layer that makes a component's rows reads: for the output of a block
  /// its input, for a branch's output what its last projection reads, for queries, keys, values and the
  /// activation the normalised stream; nil where no layer makes a row from one row.
  public func sourceWidth(of component: Component) -> Int? {
    switch component {
    case .queryOutput, .keyOutput, .valueOutput, .mlpActivation, .blockOutput: hiddenSize
    case .attentionOutput: queryWidth
    case .mlpOutput: feedForwardSize
    case .blockInput, .attentionInput, .attentionValueOutput, .mlpInput: nil
    }
  }
}
