// SPDX-License-Identifier: Apache-2.0
// What a trainable head is: its task, its labels, and how it reads the final hidden states.

/// A head that is trained beside the frozen model.
///
/// Of each text one row h [d] is taken from the final hidden states. With `hidden` dense,
/// h ← activation(W h + b); then the outputs are C h + c, one for each label.
public struct HeadSpec: Sendable, Hashable {
  /// What the outputs mean, and so what the loss is.
  public enum Task: String, Sendable, CaseIterable {
    /// One of several labels: softmax with cross entropy.
    case classification
    /// Any number of labels, each on its own: logistic functions with binary cross entropy, the mean
    /// over the labels.
    case multiLabel = "multi_label"
    /// One real number: the squared difference.
    case regression
  }

  /// Which row of a text's final hidden states is read.
  public enum Pooling: String, Sendable, CaseIterable {
    /// That of the first token, which the encoders of the BERT family were made for.
    case first
    /// The mean over all tokens.
    case mean
    /// That of the last token: the only one of a decoder that has seen the whole text.
    case last

    /// The tokens of a text that are read.
    public func tokens(of count: Int) -> Range<Int> {
      switch self {
      case .first: 0..<min(1, count)
      case .mean: 0..<count
      case .last: max(0, count - 1)..<count
      }
    }
  }

  /// What lies between the pooled row and the outputs.
  public enum Hidden: String, Sendable, CaseIterable {
    /// Nothing: the outputs are a linear function of the row.
    case none
    /// A square matrix with an activation, as the heads of BERT and RoBERTa have.
    case dense
  }

  /// The function after the hidden matrix.
  public enum Activation: String, Sendable, CaseIterable {
    /// The hyperbolic tangent, of BERT and RoBERTa.
    case tanh
    /// max(0, x), of DistilBERT.
    case relu
  }

  /// What the outputs mean.
  public var task: Task
  /// The labels that the outputs stand for; of a regression one without a name.
  public var labels: LabelSet
  /// Which row of a text is read.
  public var pooling: Pooling
  /// What lies between it and the outputs.
  public var hidden: Hidden
  /// The function after the hidden matrix; without meaning where there is none.
  public var activation: Activation
  /// The part of the row's numbers, and of the hidden ones, that training leaves out; 0 by default.
  public var dropout: Double

  /// Describes a head.
  public init(
    task: Task,
    labels: LabelSet,
    pooling: Pooling,
    hidden: Hidden = .none,
    activation: Activation = .tanh,
    dropout: Double = 0
  ) {
    self.task = task
    self.labels = labels
    self.pooling = pooling
    self.hidden = hidden
    self.activation = activation
    self.dropout = dropout
  }

  /// The number of outputs.
  public var outputCount: Int { labels.count }
}

/// The labels of a head, by number and, where they have any, by name.
public struct LabelSet: Sendable, Hashable {
  /// The most labels that a head can have.
  public static let maximumCount = 65_536

  /// How many there are.
  public let count: Int
  /// Their names in the order of their numbers; nil where they have none.
  public let names: [String]?
  private let numbers: [String: Int]

  /// Labels with names, which differ.
  public init(names: [String]) {
    count = names.count
    self.names = names
    numbers = Dictionary(
      names.enumerated().map { ($1, $0) },
      uniquingKeysWith: { first, _ in first }
    )
  }

  /// Labels that are numbers from 0.
  public init(count: Int) {
    self.count = count
    names = nil
    numbers = [:]
  }

  /// The one output of a regression.
  public static let value = LabelSet(count: 1)

  /// The number of a label by its name.
  public func number(of name: String) -> Int? { numbers[name] }

  /// What a label is called: its name, or its number.
  public func name(of number: Int) -> String {
    guard let names, names.indices.contains(number) else { return String(number) }
    return names[number]
  }

  /// The labels in words, for messages.
  public var description: String {
    guard let names else { return "0 to \(count - 1)" }
    let shown = names.prefix(8).map { "'\($0)'" }.joined(separator: ", ")
    return shown + (count > 8 ? " and \(count - 8) more" : "")
  }
}
