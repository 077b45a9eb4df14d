// SPDX-License-Identifier: Apache-2.0
// What a row says of its edit, beside the words that the model reads.

import ReFTTensor

extension RowReader.Row {
  /// The prompt whose hidden states plugins take, as it is written; nil: the row has none.
  ///
  /// - Throws: `badData` with the place for anything but a text.
  func sourcePrompt(path: String) throws(ReFTError) -> String? {
    guard let node = node["source_prompt"], node.kind != "null" else { return nil }
    guard case .text(let text) = node.content, !text.isEmpty else {
      throw .wrongRow(
        "\(path):\(node.place)",
        "\"source_prompt\" must be a text of at least one character, found \(node.kind)"
      )
    }
    return text
  }

  /// The number of the subspace that the row is edited in; nil: the row names none.
  ///
  /// - Throws: `badData` with the place for anything but a whole number from 0 to 2147483647.
  func subspace(path: String) throws(ReFTError) -> Int32? {
    guard let node = node["subspace"], node.kind != "null" else { return nil }
    guard case .integer(let number) = node.content, let subspace = Int32(exactly: number),
      subspace >= 0
    else {
      throw .wrongRow(
        "\(path):\(node.place)",
        "\"subspace\" must be a whole number from 0 to \(Int32.max), found \(node.shown)"
      )
    }
    return subspace
  }
}
