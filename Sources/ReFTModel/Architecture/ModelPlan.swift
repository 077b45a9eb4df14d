// SPDX-License-Identifier: Apache-2.0
// A model as values: what is computed, in which order, with which tensors. It says nothing of how.

/// What a model computes, written down so that it can be compared, printed and compiled.
///
/// A block is two branches around the residual stream x, the attention and then the MLP:
/// x ← x + post(branch(pre(x))), where `post` may be absent.
public struct ModelPlan: Sendable, Equatable {
  /// The model's own name.
  public var name: String
  /// The family, such as "llama".
  public var architecture: String
  /// The longest sequence the model was made for, in tokens.
  public var contextLength: Int
  /// Token ids to the residual stream.
  public var embedding: Embedding
  /// The blocks, from the first to the last.
  public var blocks: [Block]
  /// The normalisation before the head.
  public var finalNorm: Norm
  /// The residual stream to logits.
  public var head: Matrix

  /// The width of the residual stream, d.
  public var hiddenSize: Int { embedding.weight.columns }
  /// Whether the head is the embedding matrix.
  public var isTied: Bool { head == embedding.weight }

  /// A weight matrix W [rows, columns] of y = x Wᵀ + b.
  public struct Matrix: Sendable, Hashable {
    /// The tensor that holds it.
    public var tensor: String
    /// Outputs.
    public var rows: Int
    /// Inputs.
    public var columns: Int
    /// The tensor that holds b [rows]; nil for none.
    public var bias: String?
  }

  /// Rows of a matrix, one for each token.
  public struct Embedding: Sendable, Equatable {
    /// The rows.
    public var weight: Matrix
    /// Multiplies them.
    public var scale: Float
  }

  /// x / √(mean(x²) + epsilon) · (weight + offset), over rows of `size` numbers (RMSNorm).
  public struct Norm: Sendable, Hashable {
    /// The tensor that holds the weight.
    public var tensor: String
    /// Numbers in a row.
    public var size: Int
    /// Added to the mean square.
    public var epsilon: Float
    /// Added to the weight: 1 in families that store their weights around zero.
    public var offset: Float
  }

  /// How the pairs of a head turn with the position (Su et al., arXiv 2104.09864).
  public struct Rotation: Sendable, Hashable {
    /// Which numbers of a head are a pair.
    public enum Pairs: Sendable, Hashable {
      /// (2i, 2i + 1).
      case neighbours
      /// (i, size / 2 + i).
      case halves
    }

    /// What becomes of the frequencies base^(−2i / size).
    public enum Scaling: Sendable, Hashable {
      /// They stay.
      case none
      /// All are divided by a factor.
      case linear(Double)
      /// The slow ones are divided, the fast ones stay, with a slope between (Llama 3).
      case llama3(factor: Double, low: Double, high: Double, original: Double)
      /// Each is divided by its number in a tensor.
      case factors(tensor: String)
    }

    /// Which numbers of a head are a pair.
    public var pairs: Pairs
    /// The base of the frequencies.
    public var base: Double
    /// What becomes of them.
    public var scaling: Scaling
  }

  /// Which keys a query sees.
  public enum Mask: Sendable, Hashable {
    /// All up to its own position.
    case causal
    /// The last so many of these, its own among them.
    case window(Int)
  }

  /// Queries, keys and values of several heads, where neighbouring queries share a key head.
  public struct Attention: Sendable, Equatable {
    /// Query heads.
    public var heads: Int
    /// Key and value heads; divides `heads`.
    public var keyValueHeads: Int
    /// The width of a head.
    public var headSize: Int
    /// The projections.
    public var query: Matrix
    /// To keys.
    public var key: Matrix
    /// To values.
    public var value: Matrix
    /// Of all heads' values back to the residual stream.
    public var output: Matrix
    /// A normalisation of each query head, before the rotation.
    public var queryNorm: Norm?
    /// The same of each key head.
    public var keyNorm: Norm?
    /// How queries and keys turn.
    public var rotation: Rotation
    /// Which keys a query sees.
    public var mask: Mask
    /// Multiplies the scores.
    public var scale: Float
  }

  /// The function between the two products of an MLP.
  public enum Activation: String, Sendable, Hashable {
    /// x · sigmoid(x).
    case silu
    /// GELU in its tanh form.
    case geluTanh = "gelu_tanh"
  }

  /// down(activation(gate(x)) · up(x)).
  public struct MLP: Sendable, Equatable {
    /// The gate's function.
    public var activation: Activation
    /// The projection into the activation.
    public var gate: Matrix
    /// What the activation multiplies.
    public var up: Matrix
    /// Back to the residual stream.
    public var down: Matrix
  }

  /// One transformer block.
  public struct Block: Sendable, Equatable {
    /// Before the attention.
    public var attentionNorm: Norm
    /// The attention.
    public var attention: Attention
    /// After the attention, before the sum.
    public var attentionPostNorm: Norm?
    /// Before the MLP.
    public var mlpNorm: Norm
    /// The MLP.
    public var mlp: MLP
    /// After the MLP, before the sum.
    public var mlpPostNorm: Norm?
  }
}
