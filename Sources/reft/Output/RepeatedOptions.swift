// SPDX-License-Identifier: Apache-2.0
// An option of one value that is given twice: the parser takes the last in silence, so what was given
// first would be dropped.

import ArgumentParser
import ReFTTensor

/// Finds options of one value that are given more than once.
enum RepeatedOptions {
  /// Looks through a call.
  ///
  /// - Parameter arguments: the words after the program's name.
  /// - Throws: `usage` naming the option.
  static func check(_ arguments: [String]) throws(ReFTError) {
    // What follows "--" are no options, and no value begins with a hyphen.
    let given = arguments.prefix { $0 != "--" }.filter { $0.hasPrefix("-") }.map {
      String($0.prefix { $0 != "=" })
    }
    guard Set(given).count < given.count else { return }
    let root = try JSONFile.node(Array(Reft._dumpHelp().utf8), path: "the commands")
    guard var command = root["command"] else { return }
    var path = ["reft"]
    for word in arguments {
      guard let next = command.items("subcommands").first(where: { $0.isNamed(word) }) else {
        continue
      }
      command = next
      path.append(word)
    }
    for argument in command.items("arguments") where argument.takesOneValue {
      let names = argument.items("names").compactMap(\.optionName)
      let count = given.count { names.contains($0) }
      guard count > 1, let name = names.first(where: given.contains) else { continue }
      throw .givenTwice(name, count: count, command: path.joined(separator: " "))
    }
  }
}

extension JSONNode {
  fileprivate func items(_ key: String) -> [JSONNode] {
    if case .list(let items)? = self[key]?.content { return items }
    return []
  }

  fileprivate func isNamed(_ word: String) -> Bool { self["commandName"]?.word == word }

  /// Whether an argument is an option of which the last value counts.
  fileprivate var takesOneValue: Bool {
    guard self["kind"]?.word == "option" else { return false }
    if case .flag(true)? = self["isRepeating"]?.content { return false }
    return true
  }

  /// The name of an option as it is typed.
  fileprivate var optionName: String? {
    guard let name = self["name"]?.word else { return nil }
    return (self["kind"]?.word == "long" ? "--" : "-") + name
  }
}

extension ReFTError {
  fileprivate static func givenTwice(_ name: String, count: Int, command: String) -> ReFTError {
    ReFTError(
      .usage,
      "\(name) is given \(count) times and takes one value; give it once; see '\(command) --help'"
    )
  }
}
