// SPDX-License-Identifier: Apache-2.0
// Which rows a position rule leaves alone: they cost time, and nothing is learnt from them.

import ReFTHost
import ReFTTensor
import ReFTText

extension DataSet {
  /// The examples of which a rule edits no token, or none before a token that is to be learnt, as
  /// indices.
  ///
  /// - Throws: what the rule says of a row that lacks what it looks for, with the place of the row.
  private func untouched(
    by rule: PositionRule,
    tokenizer: Tokenizer
  ) throws(ReFTError) -> [Int] {
    var result: [Int] = []
    for (index, example) in examples.enumerated() {
      var editsNothing = rule.editsNothing(promptLength: example.promptLength)
      if rule.looksForTokens {
        do throws(ReFTError) {
          editsNothing = try rule.rows(
            promptLength: example.promptLength,
            tokens: example.ids.prefix(example.promptLength),
            tokenizer: tokenizer
          ).isEmpty
        } catch {
          throw .wrongRow(place(of: index), error.message)
        }
      }
      if rule.editsDecodedTokens, example.ids.count > example.promptLength { continue }
      if !editsNothing { editsNothing = try comesTooLate(rule, index, tokenizer) }
      if editsNothing { result.append(index) }
    }
    return result
  }

  /// Whether all that a rule edits lies behind the last token that predicts another, as the last
  /// token of a text does, which is prompt as a whole.
  private func comesTooLate(
    _ rule: PositionRule,
    _ index: Int,
    _ tokenizer: Tokenizer
  ) throws(ReFTError) -> Bool {
    let example = examples[index]
    guard example.promptLength == example.ids.count,
      let lastLabel = example.labels.lastIndex(where: { $0 >= 0 })
    else { return false }
    do throws(ReFTError) {
      let rows = try rule.rows(
        promptLength: example.promptLength,
        tokens: example.ids[...],
        tokenizer: tokenizer
      )
      return rows.allSatisfy { $0.position >= lastLabel }
    } catch {
      throw .wrongRow(place(of: index), error.message)
    }
  }

  /// Makes sure that every rule finds its tokens in every row, and some tokens in some row.
  ///
  /// - Parameters:
  ///   - specs: the interventions.
  ///   - tokenizer: the model's.
  ///   - mustEdit: whether a rule that edits nothing in any row is an error.
  /// - Returns: what is worth a word, in sentences; how many rows no rule edits.
  /// - Throws: `badData` naming rule and rows.
  func checkEdits(
    _ specs: [InterventionSpec],
    tokenizer: Tokenizer,
    mustEdit: Bool
  ) throws(ReFTError) -> (notes: [String], unedited: Int) {
    var notes: [String] = []
    var seen: Set<PositionRule> = []
    var unedited = Set(specs.isEmpty ? [] : Array(examples.indices))
    for rule in specs.map(\.positions) where seen.insert(rule).inserted {
      let rows = try untouched(by: rule, tokenizer: tokenizer)
      unedited.formIntersection(rows)
      guard let first = rows.first else { continue }
      let reason = Self.reason(rule, examples[first])
      if mustEdit, rows.count == examples.count {
        throw .nothingEdited(
          place(of: first),
          rule: rule,
          rows: rows.count,
          reason: reason
        )
      }
      notes.append(
        "\(place(of: first)): \(rows.count) of \(examples.count) rows have no token that positions "
          + "'\(rule)' edit, this one the first: \(reason)"
      )
    }
    return (notes, unedited.count)
  }

  /// Makes sure that every row has a source prompt that fits its own, where a plugin asks for one.
  ///
  /// - Returns: what is worth a word, in sentences.
  /// - Throws: `badData` naming the row.
  func checkSources(_ adapters: AdapterStack) throws(ReFTError) -> [String] {
    guard adapters.needsCounterpart else {
      guard let first = examples.firstIndex(where: { $0.sourceIds != nil }) else { return [] }
      return [
        "\(place(of: first)): it has a \"source_prompt\", and no plugin of the adapter takes rows of one"
      ]
    }
    for (index, example) in examples.enumerated() {
      do throws(ReFTError) {
        try adapters.checkCounterpart(
          example.ids.prefix(example.promptLength),
          source: example.sourceIds
        )
      } catch {
        throw .wrongRow(place(of: index), error.message)
      }
    }
    return []
  }

  private static func reason(_ rule: PositionRule, _ example: Example) -> String {
    let count = example.promptLength
    guard example.labels.isEmpty || count < example.ids.count else {
      return
        "all of its \(count) tokens count as prompt, and nothing is predicted from those edited"
    }
    let prompt = "its prompt has \(count) token\(count == 1 ? "" : "s")"
    guard case .ends = rule.selection, count > 0 else { return prompt }
    return prompt + ", and each end is clipped to half of it, rounded down"
  }
}

extension ReFTError {
  static func nothingEdited(
    _ place: String,
    rule: PositionRule,
    rows: Int,
    reason: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "\(place): positions '\(rule)' edit no token of any of the \(rows) rows, so training would "
        + "change nothing; of this row, \(reason); take positions such as 'all', or rows with longer "
        + "prompts"
    )
  }
}
