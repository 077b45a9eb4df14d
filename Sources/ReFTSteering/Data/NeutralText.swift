// SPDX-License-Identifier: Apache-2.0
// Running text for side effects: a file as it is, or the texts of its rows.

public import ReFTTensor
import ReFTTraining

/// Reads neutral text.
public enum NeutralText {
  /// The text of a file: all of it, or where its name ends in .jsonl, .json, .tsv or .csv the texts
  /// of its rows with empty lines between them.
  ///
  /// - Throws: `inputMissing` without the file; `badData` for one that is no text.
  public static func read(path: String) throws(ReFTError) -> String {
    if [".jsonl", ".json", ".tsv", ".csv"].contains(where: path.hasSuffix) {
      return try ContrastReader.texts(path).map(\.text).joined(separator: "\n\n")
    }
    let bytes = try TextFile.bytes(path: path, limit: 256 << 20)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw .notUTF8("\(path):1")
    }
    return text
  }
}
