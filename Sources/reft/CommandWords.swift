// SPDX-License-Identifier: Apache-2.0
// The words before the first option: where a subcommand must stand, the parser takes any other word for
// an argument too many and says nothing of what was meant.

import ArgumentParser
import ReFTHost
import ReFTTensor

/// Looks at the words of a call before they are parsed.
enum CommandWords {
  /// Refuses a word that is no subcommand where one must stand, with the nearest one.
  ///
  /// - Parameter words: the arguments without the program's name.
  /// - Throws: `usage`.
  static func check(_ words: [String]) throws {
    var command: any ParsableCommand.Type = Reft.self
    var path = "reft"
    for word in words {
      let parts = command.configuration.subcommands
      guard !parts.isEmpty, !word.hasPrefix("-"), word != "help" else { return }
      guard let next = parts.first(where: { $0._commandName == word }) else {
        let names = parts.map { $0._commandName }
        let nearest = NearestName.find(word, in: names).map { "; did you mean '\($0)'?" } ?? ""
        throw ReFTError(
          .usage,
          "'\(word)' is no command of \(path)\(nearest.isEmpty ? ";" : nearest) see '\(path) --help'"
        )
      }
      command = next
      path += " " + word
    }
  }
}
