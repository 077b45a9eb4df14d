// SPDX-License-Identifier: Apache-2.0
// Which rows a position rule leaves alone: they cost time, and nothing is learnt from them.

import ReFTHost
import ReFTTensor
import ReFTText

extension DataSet {
  /// The examples of which a rule edits no token, as indices.
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
      let decodes = rule.editsDecodedTokens && example.ids.count > example.promptLength
      if editsNothing, !decodes { result.append(index) }
    }
    return result
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
      let length = examples[first].promptLength
      let reason = Self.reason(rule, promptLength: length)
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

  private static func reason(_ rule: PositionRule, promptLength: Int) -> String {
    let prompt = "its prompt has \(promptLength) token\(promptLength == 1 ? "" : "s")"
    guard case .ends = rule.selection, promptLength > 0 else { return prompt }
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
