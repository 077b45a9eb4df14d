// SPDX-License-Identifier: Apache-2.0
// Every recipe trains: two steps on a tiny model and a few rows, as a process.

import Foundation
import Testing
import _ReFTTestSupport

@Suite("Recipes")
struct RecipeTests {
  /// The names, from the files that are embedded.
  static let names: [String] = {
    let folder = URL(filePath: Fixture.folder).deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Recipes/files")
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return files.filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted()
  }()

  @Test("are all in the list, with what they need")
  func listed() throws {
    let list = try Tool.reft(["recipe", "list", "--json"]).json()["recipes"] as? [[String: Any]]
    let recipes = try #require(list)
    #expect(recipes.compactMap { $0["name"] as? String }.sorted() == Self.names)
    for recipe in recipes {
      for key in ["title", "data", "model", "takes"] {
        #expect((recipe[key] as? String)?.isEmpty == false, "\(recipe)")
      }
    }
  }

  /// Rows as a recipe wants them.
  private static func rows(for text: String) -> (name: String, text: String) {
    let formats: [String: String] = [
      "glue/sst2": "sentence\tlabel\na fine film\t1\na dull film\t0\nso good\t1\nso bad\t0\n",
      "glue/rte": "index\tsentence1\tsentence2\tlabel\n0\tone two\tone\tentailment\n"
        + "1\tone two\tsix\tnot_entailment\n",
      "glue/mrpc": "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t1\t2\tone two\ttwo one\n"
        + "0\t3\t4\tone two\tred\n",
      "glue/cola": "gj04\t1\t\tThe dog is here.\ngj04\t0\t*\tDog the here is.\n",
      "glue/stsb": "index\tsentence1\tsentence2\tscore\n0\tone two\ttwo one\t4.5\n"
        + "1\tone\tred\t0.5\n2\tsix\tsix\t5.0\n",
    ]
    if let format = formats.keys.first(where: { text.contains("format: \($0)") }) {
      return ("rows.tsv", formats[format] ?? "")
    }
    let labels = ["red", "green"]
    let lines = (0..<12).map { row in
      if text.contains("objective:") {
        return #"{"instruction":"say \#(row) and more","chosen":"yes \#(row)","rejected":"no"}"#
      }
      return text.contains("head:")
        ? #"{"text":"the colour of row \#(row)","label":"\#(labels[row % 2])"}"#
        : #"{"instruction":"one two three \#(row) and four","output":"five \#(row)"}"#
    }
    return ("rows.jsonl", lines.joined(separator: "\n") + "\n")
  }

  @Test("train two steps on a tiny model and tiny data", arguments: names)
  func trains(_ name: String) throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      var model = TinyModel()
      model.blocks = 26
      try model.write(in: folder)
      let copy = try Tool.reft(["recipe", "copy", name, "--output", bench.path("run.yaml")])
      #expect(copy.status == 0, "\(copy.errors)")
      let text = String(decoding: try bench.read("run.yaml"), as: UTF8.self)
      let rows = Self.rows(for: text)
      try bench.write(rows.text, to: rows.name)
      var words = ["train", bench.path("run.yaml"), "--json"]
      var settings = ["model=tiny.gguf", "data.train=\(rows.name)", "train.max_steps=2"]
      if text.contains("\n  validation: ") { settings.append("data.validation=\(rows.name)") }
      for setting in settings { words += ["--set", setting] }
      let run = try Tool.reft(words)
      try #require(run.status == 0, "\(run.errors)")
      #expect(try run.json()["steps"] as? Int == 2)
    }
  }

  @Test("replace nothing but themselves, and a name with a slip is guessed")
  func copied() throws {
    try withTemporaryDirectory { folder in
      let path = folder + "/run.yaml"
      for status in [0, 0] as [Int32] {
        #expect(try Tool.reft(["recipe", "copy", "emoji", "--output", path]).status == status)
      }
      #expect(try Tool.reft(["recipe", "copy", "style", "--output", path]).status == 64)
      let wrong = try Tool.reft(["recipe", "show", "emojy"])
      #expect(wrong.status == 64 && wrong.errors.contains("did you mean 'emoji'?"))
    }
  }
}
