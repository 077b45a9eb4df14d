// SPDX-License-Identifier: Apache-2.0
// The places of a model where hidden states can be read and edited.

/// A hidden tensor of a transformer block, by pyvene's name.
public enum Component: String, CaseIterable, Codable, Sendable {
  /// The residual stream as it enters the block.
  case blockInput = "block_input"
  /// The residual stream as it leaves the block.
  case blockOutput = "block_output"
  /// The normalised residual stream that the attention reads.
  case attentionInput = "attention_input"
  /// The queries of all heads, before rotary embedding.
  case queryOutput = "query_output"
  /// The keys of all key-value heads, before rotary embedding.
  case keyOutput = "key_output"
  /// The values of all key-value heads.
  case valueOutput = "value_output"
  /// The weighted values of all heads: the input of the output projection.
  case attentionValueOutput = "attention_value_output"
  /// The output of the attention, before it is added to the residual stream.
  case attentionOutput = "attention_output"
  /// The normalised residual stream that the MLP reads.
  case mlpInput = "mlp_input"
  /// The output of the activation function, before the gate product.
  case mlpActivation = "mlp_activation"
  /// The output of the MLP, before it is added to the residual stream.
  case mlpOutput = "mlp_output"
}

/// One component of one block, 0-based.
public struct Site: Hashable, Sendable, CustomStringConvertible {
  /// The block's index, from 0.
  public var block: Int
  /// Which hidden tensor of the block.
  public var component: Component

  /// Names a site.
  public init(block: Int, component: Component) {
    self.block = block
    self.component = component
  }

  /// The site in words, for messages.
  public var description: String { "\(component.rawValue) of block \(block)" }
}
