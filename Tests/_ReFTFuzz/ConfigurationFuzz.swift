// SPDX-License-Identifier: Apache-2.0
// Configurations of runs: YAML that mostly reads, damaged, or grown.

import Foundation
import ReFTTensor
import ReFTTraining

/// Makes configurations, and reads them with and without overrides.
public struct ConfigurationFuzz: FuzzReader {
  /// The name on the command line.
  public static let name = "yaml"

  private let file = FuzzFolder()

  /// Makes a reader.
  public init() {}

  private static let keys = [
    "model", "data", "train", "validation", "template", "max_length", "interventions", "plugin",
    "layers", "positions", "options", "rank", "epochs", "learning_rate", "warmup", "betas",
    "output",
    "plugin_path", "head", "task", "labels", "pooling", "format", "<<", "a", "~", "é",
  ]
  private static let values = [
    "1", "all", "\"2;10\"", "[2, 10]", "f7+l7", "\"[0,5,-1]\"", "after:\"x\"", "'it''s'", "1e-3",
    ".inf",
    "~", "null", "", "yes", "*a", "&a [x, *b]", "&b {x: 1}", "!!str 3", "!!binary aGk=",
    "|\n  a\n  b",
    ">-\n  c", "{rank: 8}", "- - 1", "9223372036854775808", "\"\\x41\\u0301\"", "@x", "%x", "? x",
    "{instruction}", "\"{instruction} {input}\"", "0x10", "0o7", "1_000", "- a", "\t", "---", "...",
  ]

  /// Makes one configuration.
  public func makeInput(_ random: inout FuzzRandom) -> [UInt8] {
    var text = """
      model: m.gguf
      data: {train: rows.jsonl, max_length: \(random.below(2000)), template: alpaca}
      interventions:
        - plugin: loreft
          layers: \(random.once(in: 3) ? random.pick(Self.values) : "[2, 10]")
          positions: \(random.pick(["f7+l7", "[0, 5, -1]", "after:\"x\"", "every:4+decode"]))
          options: {rank: 8\(random.once(in: 3) ? ", a: " + random.pick(Self.values) : "")}
      train:
        epochs: 3

      """
    for _ in 0..<(random.once(in: 2) ? random.below(6) : 0) {
      let indent = String(repeating: " ", count: random.below(4))
      text += "\(indent)\(random.pick(Self.keys)): \(random.pick(Self.values))\n"
    }
    switch random.below(12) {
    case 0: text += growth(&random)
    case 1: text = "\u{FEFF}" + text
    case 2: text = random.pick(Self.values)
    default: break
    }
    let bytes = [UInt8](text.utf8)
    return random.once(in: 2) ? FuzzMutation.mutate(bytes, &random) : bytes
  }

  private func growth(_ random: inout FuzzRandom) -> String {
    let count = random.pick([10, 900, 20_000])
    switch random.below(6) {
    case 0: return "a: " + String(repeating: "[", count: count) + "\n"
    case 1: return "a:\n " + String(repeating: "- ", count: count) + "\n"
    case 2: return (0..<count).map { "k\($0): 1" }.joined(separator: "\n")
    case 3:
      let names = Array("abcdefghijkl").map(String.init)
      return "a: &a [x, x, x, x]\n"
        + zip(names, names.dropFirst()).map { last, name in
          "\(name): &\(name) [*\(last), *\(last), *\(last), *\(last)]"
        }.joined(separator: "\n") + "\n? *l\n: 1\n"
    case 4: return "a: \"e" + String(repeating: "\u{301}\u{316}", count: count) + "\"\n"
    default: return "layers: \"" + (0..<count).map(String.init).joined(separator: ";") + "\"\n"
    }
  }

  /// Reads a configuration as `reft train` does.
  public func read(_ input: [UInt8]) throws {
    let path = try file.write(input, to: "run.yaml")
    let word = String(decoding: input.prefix(40), as: UTF8.self)
    do {
      _ = try RunConfiguration.load(path: path, overrides: ["train.epochs=2", word])
    } catch {
      // Most words are no override.
    }
    let configuration = try RunConfiguration.load(path: path)
    _ = try RunConfiguration.parse(yaml: configuration.yaml(), path: path)
  }
}
