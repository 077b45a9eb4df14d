// SPDX-License-Identifier: Apache-2.0
// JSON texts for the readers of files, with much of what is no JSON; and a folder to put files into.

import Foundation

/// Makes JSON values, a few of them none.
enum JSONFuzz {
  private static let scalars = [
    "0", "-1", "1.5", "1e5", "9223372036854775807", "9223372036854775808", "1e400", "-0", "true",
    "false", "null", "\"\"", "\"text\"", "\"\\u00e9\\n\"", "\"\\ud800\"", "\"a\\u0000b\"", "01",
    "1.",
    "NaN", "\"\u{301}\u{301}\"", "[]", "{}", "\"" + String(repeating: "x", count: 300) + "\"",
  ]

  /// One value.
  static func value(_ random: inout FuzzRandom, depth: Int, keys: [String]) -> String {
    guard depth > 0 else { return random.pick(scalars) }
    switch random.below(8) {
    case 0:
      let items = (0..<random.below(5)).map { _ in value(&random, depth: depth - 1, keys: keys) }
      return "[" + items.joined(separator: random.pick([",", " , ", ",\n"])) + "]"
    case 1, 2:
      let members = (0..<random.below(5)).map { _ in
        "\"\(random.pick(keys))\":" + value(&random, depth: depth - 1, keys: keys)
      }
      return "{" + members.joined(separator: ",") + "}"
    case 3:
      let count = random.pick([3, 63, 64, 65, 5000])
      let (open, close) = random.pick([("[", "]"), ("{\"a\":", "}")])
      return String(repeating: open, count: count) + "1" + String(repeating: close, count: count)
    case 4 where random.once(in: 20):
      return "[" + Array(repeating: random.pick(scalars), count: 3000).joined(separator: ",") + "]"
    default: return random.pick(scalars)
    }
  }

  /// Puts values of any kind before those of some keys of a sound text.
  static func change(_ text: inout String, keys: [String], _ random: inout FuzzRandom) {
    for _ in 0..<random.below(3) {
      let key = random.pick(keys)
      guard let range = text.range(of: "\"\(key)\": ") else { continue }
      let value = value(&random, depth: 3, keys: keys)
      text.insert(
        contentsOf: random.once(in: 2) ? value + ", \"x\": " : value,
        at: range.upperBound
      )
    }
  }

  /// The members of an object of many keys.
  static func wide(_ random: inout FuzzRandom, keys: [String]) -> String {
    let count = random.pick([1, 10, 2000])
    let marks = String(repeating: "\u{301}\u{316}", count: random.pick([0, 0, 5, 400]))
    return (0..<count).map { "\"\(random.pick(keys))\(marks)\($0)\":\($0)" }.joined(separator: ",")
  }
}

/// A folder in memory that ends with its owner.
final class FuzzFolder: Sendable {
  let path: String

  init() {
    let parent = FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : "/tmp"
    path = parent + "/reft-fuzz-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
    mkdir(path, 0o700)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Writes a file, and gives its path.
  func write(_ bytes: [UInt8], to name: String) throws -> String {
    let file = path + "/" + name
    try Data(bytes).write(to: URL(fileURLWithPath: file))
    return file
  }
}
