// SPDX-License-Identifier: Apache-2.0
// The two branches of a block as values: attention with its rotation and mask, and the MLP.

extension ModelPlan {
  /// How the pairs of a head turn with the position (Su et al., arXiv 2104.09864).
  public struct Rotation: Sendable, Hashable {
    /// Which numbers of a head are a pair.
    public enum Pairs: Sendable, Hashable {
      /// (2i, 2i + 1).
      case neighbours
      /// (i, width / 2 + i).
      case halves
    }

    /// What becomes of the frequencies base^(−2i / width).
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

    /// How many numbers of a head turn, from its first on; an odd one counts in the frequencies, and
    /// one number more turns, as in the reference library.
    public var width: Int
    /// Which of them are a pair.
    public var pairs: Pairs
    /// The base of the frequencies.
    public var base: Double
    /// What becomes of them.
    public var scaling: Scaling

    /// The numbers of a head that turn, in pairs.
    var turned: Int { (width + 1) / 2 * 2 }
  }

  /// Which keys a query sees.
  public enum Mask: Sendable, Hashable {
    /// All up to its own position.
    case causal
    /// The last so many of these, its own among them.
    case window(Int)
    /// All of its sequence.
    case full
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
    /// A normalisation of queries before the rotation: of each head, or of all as one row.
    public var queryNorm: Norm?
    /// The same of keys.
    public var keyNorm: Norm?
    /// How queries and keys turn; nil where they stay.
    public var rotation: Rotation?
    /// Which keys a query sees.
    public var mask: Mask
    /// Multiplies the scores.
    public var scale: Float
    /// c in c · tanh(score / c); nil for none.
    public var softCap: Float?
  }

  /// The function between the two products of an MLP.
  public enum Activation: String, Sendable, Hashable {
    /// x · sigmoid(x).
    case silu
    /// GELU in its tanh form.
    case geluTanh = "gelu_tanh"
    /// GELU with the error function.
    case gelu
  }

  /// down(activation(gate(x)) · up(x)), or down(activation(up(x))) without a gate.
  public struct MLP: Sendable, Equatable {
    /// The function.
    public var activation: Activation
    /// The projection into the activation; nil where that of `up` goes there.
    public var gate: Matrix?
    /// What the activation multiplies, or reads.
    public var up: Matrix
    /// Back to the residual stream.
    public var down: Matrix
  }
}
