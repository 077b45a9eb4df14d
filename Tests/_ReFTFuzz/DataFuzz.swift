// SPDX-License-Identifier: Apache-2.0
// Files of rows: JSON lines and lists that mostly read, damaged, or grown.

import Foundation
import ReFTTensor
import ReFTText
import ReFTTraining

/// Makes files of rows, and reads them as `--data` and as `--input` does.
public struct DataFuzz: FuzzReader {
  /// The name on the command line.
  public static let name = "jsonl"

  private let file = FuzzFolder()

  /// Makes a reader.
  public init() {}

  private static let keys = [
    "prompt", "completion", "instruction", "input", "output", "question", "answer", "messages",
    "role", "content", "text", "ids", "labels", "label", "chat", "system", "history", "tools", "id",
    "é", "a\\u0000", "\\ud83d\\ude00", "k",
  ]

  /// Makes one file.
  public func makeInput(_ random: inout FuzzRandom) -> [UInt8] {
    var rows = (0..<1 + random.below(3)).map { _ in row(&random) }
    if random.once(in: 3) { rows = ["[" + rows.joined(separator: ",\n") + "]"] }
    let start = random.pick(["", "", "", "", "\u{FEFF}", "\r\n\n", " ", "\u{0}"])
    let bytes = [UInt8]((start + rows.joined(separator: random.pick(["\n", "\r\n", "\n\n"]))).utf8)
    return random.once(in: 2) ? FuzzMutation.mutate(bytes, &random) : bytes
  }

  private func row(_ random: inout FuzzRandom) -> String {
    switch random.below(9) {
    case 0, 1, 2, 3: #"{"prompt":"a \#(random.below(9))","completion":" b"}"#
    case 4: #"{"instruction":"a","output":"b","\#(random.pick(Self.keys))":\#(value(&random, 3))}"#
    case 5:
      #"{"messages":[{"role":"user","content":\#(value(&random, 2))},{"role":"assistant","content":"b"}]}"#
    case 6: #"{"ids":[1,2,\#(value(&random, 1))],"labels":[-100,2,3]}"#
    case 7: "{" + JSONFuzz.wide(&random, keys: Self.keys) + "}"
    default: value(&random, 4)
    }
  }

  private func value(_ random: inout FuzzRandom, _ depth: Int) -> String {
    JSONFuzz.value(&random, depth: depth, keys: Self.keys)
  }

  /// Reads a file of rows both ways.
  public func read(_ input: [UInt8]) throws {
    let path = try file.write(input, to: "rows.jsonl")
    var options = DataSet.Options()
    options.maxLength = 64
    options.template = .format(try Template.Format("{instruction}|{input}|{output}"))
    let words = PromptEncoder(coder: ByteCoding(), chatTemplate: nil, template: Template.none)
    do {
      _ = try PromptFile.read(path: path, words: words)
    } catch {
      // The same file may hold data and no prompts.
    }
    _ = try DataSet(path: path, options: options, coder: ByteCoding(), chatTemplate: nil)
  }
}

/// One token per byte.
struct ByteCoding: TextCoding {
  let eos: Int32? = 256
  let bos: Int32? = nil
  let addsBOS = false
  let vocabularySize = 257

  func isSpecial(_ id: Int32) -> Bool { id > 255 }

  func encode(_ text: String, parseSpecial: Bool, addBOS: Bool?) -> [Int32] {
    text.utf8.map(Int32.init)
  }
}
