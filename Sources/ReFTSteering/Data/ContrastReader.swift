// SPDX-License-Identifier: Apache-2.0
// From the rows of a file to the texts of two classes. The forms are told apart by the first row's
// keys; keys that no form has are not looked at.

public import ReFTTensor

/// Reads contrasts.
public struct ContrastReader: Sendable {
  /// The label, or labels, of texts that show the quality.
  public var positiveLabels: [String]
  /// Those of the opposite; empty for all other labels.
  public var negativeLabels: [String]

  /// Names the labels; none where the data names them so that they explain themselves.
  public init(positiveLabels: [String] = [], negativeLabels: [String] = []) {
    self.positiveLabels = positiveLabels
    self.negativeLabels = negativeLabels
  }

  /// Keys of the two texts of a pair, and what may stand before both.
  private static let pairKeys = [
    ("positive", "negative"), ("chosen", "rejected"),
    ("answer_matching_behavior", "answer_not_matching_behavior"),
  ]
  private static let promptKeys = ["prompt", "question", "instruction"]
  private static let textKeys = ["text", "sentence"]
  private static let labelKeys = ["label", "sentiment", "class"]
  private static let groupKeys = ["pair", "pair_id", "batch_id"]
  /// Labels that say what they are.
  private static let plainLabels: Set = ["positive", "pos", "1", "true", "yes"]

  /// What rows look like, for messages.
  static let forms =
    "{\"positive\",\"negative\"} with or without \"prompt\", {\"prompt\",\"chosen\",\"rejected\"}, "
    + "{\"question\",\"answer_matching_behavior\",\"answer_not_matching_behavior\"} or "
    + "{\"text\",\"label\"} with or without \"pair\""

  /// Reads a file of pairs, or of labelled texts.
  ///
  /// - Throws: `inputMissing` without the file; `badData` with file and line for rows of no form,
  ///   of another form than the first, or without a partner; `usage` where it is open which label
  ///   is meant.
  public func read(path: String) throws(ReFTError) -> ContrastSet {
    let rows = try ContrastRows.read(path: path)
    for (positive, negative) in Self.pairKeys
    where rows[0].fields[positive] != nil && rows[0].fields[negative] != nil {
      return try Self.pairs(rows, positive, negative)
    }
    guard let text = rows[0].first(of: Self.textKeys), let label = rows[0].first(of: Self.labelKeys)
    else { throw .contrastForm(rows[0]) }
    return try labelled(rows, path: path, text: text, label: label)
  }

  /// Reads a file of texts of each class.
  ///
  /// - Throws: as `read(path:)`.
  public static func read(positives: String, negatives: String) throws(ReFTError) -> ContrastSet {
    ContrastSet(
      positives: try texts(positives),
      negatives: try texts(negatives),
      isPaired: false
    )
  }

  /// The texts of a file: a JSON list of texts or of `{"text"}`, lines of either, or plain lines.
  ///
  /// - Throws: as `read(path:)`.
  public static func texts(_ path: String) throws(ReFTError) -> [ContrastText] {
    var result: [ContrastText] = []
    for row in try ContrastRows.read(path: path) {
      guard let key = row.first(of: textKeys), let text = row.fields[key] else {
        throw .contrastText(row)
      }
      result.append(ContrastText(text: text, place: row.place))
    }
    return result
  }

  private static func pairs(
    _ rows: [ContrastRow],
    _ positive: String,
    _ negative: String
  ) throws(ReFTError) -> ContrastSet {
    let prompt = rows[0].first(of: promptKeys)
    var (positives, negatives): ([ContrastText], [ContrastText]) = ([], [])
    for row in rows {
      guard let good = row.fields[positive], let bad = row.fields[negative],
        row.first(of: promptKeys) == prompt
      else { throw .contrastForm(row) }
      let before = prompt.flatMap { row.fields[$0] }
      positives.append(ContrastText(prompt: before, text: good, place: row.place))
      negatives.append(ContrastText(prompt: before, text: bad, place: row.place))
    }
    return ContrastSet(positives: positives, negatives: negatives, isPaired: true)
  }

  // MARK: Labelled texts

  /// A text with its label and what pairs it.
  private struct Labelled {
    var text: ContrastText
    var label: String
    var group: String?
  }

  private func labelled(
    _ rows: [ContrastRow],
    path: String,
    text: String,
    label: String
  ) throws(ReFTError) -> ContrastSet {
    let group = rows[0].first(of: Self.groupKeys)
    var found: [Labelled] = []
    for row in rows {
      guard let content = row.fields[text], let name = row.fields[label] else {
        throw .contrastForm(row)
      }
      let pair = group.flatMap { row.fields[$0] }
      if group != nil, pair == nil { throw .contrastForm(row) }
      let item = ContrastText(text: content, place: row.place)
      found.append(Labelled(text: item, label: name, group: pair))
    }
    let classes = try classes(of: Set(found.map(\.label)), path: path)
    let positives = found.filter { classes.positive.contains($0.label) }
    let negatives = found.filter { classes.negative.contains($0.label) }
    guard !positives.isEmpty, !negatives.isEmpty else {
      throw .labelsNotThere(path, wanted: classes.positive, found: Set(found.map(\.label)))
    }
    if group != nil { return try Self.paired(positives, negatives) }
    return ContrastSet(
      positives: positives.map(\.text),
      negatives: negatives.map(\.text),
      isPaired: false
    )
  }

  /// Brings the two texts of each group together, in the order of the positive ones.
  private static func paired(
    _ positives: [Labelled],
    _ negatives: [Labelled]
  ) throws(ReFTError) -> ContrastSet {
    var partners: [String: ContrastText] = [:]
    for item in negatives {
      guard partners.updateValue(item.text, forKey: item.group ?? "") == nil else {
        throw .pairOfMany(item.text.place, pair: item.group ?? "")
      }
    }
    var pairs: [(ContrastText, ContrastText)] = []
    for item in positives {
      guard let partner = partners.removeValue(forKey: item.group ?? "") else {
        throw .pairOfMany(item.text.place, pair: item.group ?? "")
      }
      pairs.append((item.text, partner))
    }
    if let (pair, text) = partners.min(by: { $0.key < $1.key }) {
      throw .pairOfMany(text.place, pair: pair)
    }
    return ContrastSet(positives: pairs.map(\.0), negatives: pairs.map(\.1), isPaired: true)
  }

  /// Which labels are meant.
  private func classes(
    of labels: Set<String>,
    path: String
  ) throws(ReFTError) -> (positive: Set<String>, negative: Set<String>) {
    var positive = Set(positiveLabels)
    if positive.isEmpty {
      positive = labels.filter { Self.plainLabels.contains($0.lowercased()) }
      guard positive.count == 1, labels.count == 2 else {
        throw .positiveLabelNeeded(path, found: labels)
      }
    }
    let negative = negativeLabels.isEmpty ? labels.subtracting(positive) : Set(negativeLabels)
    guard positive.isSubset(of: labels), negative.isSubset(of: labels), !negative.isEmpty,
      positive.isDisjoint(with: negative)
    else { throw .labelsNotThere(path, wanted: positive.union(negativeLabels), found: labels) }
    return (positive, negative)
  }
}
