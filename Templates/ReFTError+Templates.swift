// SPDX-License-Identifier: Apache-2.0
// Why the folder of a new plugin was not made.

import Foundation
import ReFTTensor

extension ReFTError {
  static func unknownTemplateLanguage(_ language: String, known: [String]) -> ReFTError {
    ReFTError(
      .usage,
      "there is no plugin template in '\(language)'; --language must be one of "
        + known.joined(separator: ", ")
    )
  }

  static func badPluginName(_ name: String) -> ReFTError {
    ReFTError(
      .usage,
      "'\(name)' cannot be the name of a plugin; use up to 64 lower-case letters, digits and single "
        + "hyphens, beginning with a letter, such as 'my-edit'"
    )
  }

  static func templateFolderNotEmpty(_ folder: String, found: String) -> ReFTError {
    ReFTError(
      .inputOutput,
      "folder '\(folder)' is not empty: it holds '\(found)'; name a folder that does not exist yet"
    )
  }

  static func templateNotWritten(_ path: String, cause: any Error) -> ReFTError {
    ReFTError(
      .inputOutput,
      "'\(path)' cannot be written: \(cause.localizedDescription)",
      cause: cause
    )
  }
}
