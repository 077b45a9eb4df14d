// SPDX-License-Identifier: Apache-2.0
// A model as values: what is computed, in which order, with which tensors. It says nothing of how.
// What a branch computes is in ModelPlan+Branches.

/// What a model computes, written down so that it can be compared, printed and compiled.
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
  /// The normalisation behind the last block; nil where blocks end with one of their own.
  public var finalNorm: Norm?
  /// The residual stream to what the model predicts.
  public var head: Head

  /// The width of the residual stream, d.
  public var hiddenSize: Int { embedding.weight.columns }
  /// Whether the head is the embedding matrix.
  public var isTied: Bool { head.language?.weight == embedding.weight }
  /// Whether tokens see those behind them, so that the model encodes texts and continues none.
  public var isEncoder: Bool { blocks.contains { $0.attention.mask == .full } }

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
    /// Which rows of the tensor, and of the bias, are the matrix; nil for all.
    public var slice: Slice?
    /// Whether the tensor holds Wᵀ [columns, rows].
    public var isTransposed = false
  }

  /// Some rows of a tensor that holds several matrices: runs of neighbouring rows.
  public struct Slice: Sendable, Hashable {
    /// Rows of the tensor.
    public var total: Int
    /// The first row.
    public var first: Int
    /// Neighbouring rows of a run.
    public var run: Int
    /// Rows from one run to the next.
    public var step: Int

    /// The tensor's row of a row of the matrix.
    func row(_ index: Int) -> Int { first + index / run * step + index % run }
  }

  /// Rows of a matrix, one for each token, and what is added to them.
  public struct Embedding: Sendable, Equatable {
    /// The rows.
    public var weight: Matrix
    /// Multiplies them.
    public var scale: Float = 1
    /// A row for each position; nil where rotations or nothing tell them.
    public var positions: Positions?
    /// A row for each type of token.
    public var types: Matrix?
    /// Of the sum.
    public var norm: Norm?
  }

  /// A learned row for each position.
  public struct Positions: Sendable, Equatable {
    /// The rows.
    public var weight: Matrix
    /// The row of a sequence's first token.
    public var first: Int
  }

  /// A normalisation of rows of `size` numbers.
  public struct Norm: Sendable, Hashable {
    /// What is done to a row.
    public enum Kind: Sendable, Hashable {
      /// x / √(mean(x²) + ε) · weight (RMSNorm).
      case rms
      /// (x − mean(x)) / √(variance(x) + ε) · weight + bias (LayerNorm).
      case layer
    }

    /// What is done to a row.
    public var kind = Kind.rms
    /// The tensor that holds the weight.
    public var tensor: String
    /// The tensor that holds the bias; nil for none.
    public var bias: String?
    /// Numbers in a row.
    public var size: Int
    /// Added to the mean square.
    public var epsilon: Float
    /// Added to the weight: 1 in families that store their weights around zero.
    public var offset: Float
  }

  /// One transformer block: an attention and an MLP around the residual stream x.
  ///
  /// A branch adds to the stream: x ← sumNorm(x + post(branch(pre(x)))), where each norm may be absent.
  public struct Block: Sendable, Equatable {
    /// Before the attention.
    public var attentionNorm: Norm?
    /// The attention.
    public var attention: Attention
    /// After the attention, before the sum.
    public var attentionPostNorm: Norm?
    /// Of the sum.
    public var attentionSumNorm: Norm?
    /// Before the MLP.
    public var mlpNorm: Norm?
    /// The MLP.
    public var mlp: MLP
    /// After the MLP, before the sum.
    public var mlpPostNorm: Norm?
    /// Of the sum.
    public var mlpSumNorm: Norm?
    /// Whether the MLP reads the block's input, rather than the stream after the attention.
    public var isParallel = false
  }

  /// What reads the stream behind the last block.
  public enum Head: Sendable, Equatable {
    /// Predicts the next token.
    case language(LanguageHead)
    /// Predicts a class of the whole text.
    case classifier(Classifier)
    /// Nothing: the stream itself is the result.
    case none

    /// The head that predicts tokens, where it is one.
    public var language: LanguageHead? {
      if case .language(let head) = self { head } else { nil }
    }
  }

  /// Logits of all tokens: softCap(W h + b).
  public struct LanguageHead: Sendable, Equatable {
    /// A row for each token.
    public var weight: Matrix
    /// c in c · tanh(logit / c); nil for none.
    public var softCap: Float?
  }

  /// Logits of classes from a text's first token: output(activation(hidden(h))).
  public struct Classifier: Sendable, Equatable {
    /// Between the two products.
    public enum Activation: String, Sendable, Hashable {
      /// The hyperbolic tangent.
      case tanh
      /// Zero for what is negative.
      case relu
    }

    /// The first product.
    public var hidden: Matrix
    /// Between the two.
    public var activation: Activation
    /// A row for each class.
    public var output: Matrix
  }
}
