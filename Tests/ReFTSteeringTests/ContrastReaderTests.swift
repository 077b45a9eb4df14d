// SPDX-License-Identifier: Apache-2.0
// The forms of contrast data, and what is said of files that have none of them.

import Foundation
import ReFTHost
import ReFTSteering
import ReFTTensor
import ReFTText
import Testing
import _ReFTTestSupport

@Suite("Contrast data")
struct ContrastReaderTests {
  private func read(
    _ text: String,
    as name: String = "data.jsonl",
    _ reader: ContrastReader = ContrastReader()
  ) throws -> ContrastSet {
    try withTemporaryDirectory { folder in
      let path = folder + "/" + name
      try text.write(toFile: path, atomically: true, encoding: .utf8)
      return try reader.read(path: path)
    }
  }

  @Test("is read in every form of pairs")
  func pairs() throws {
    let rows = [
      #"{"positive":"good","negative":"bad"}"#,
      #"{"prompt":"It was","chosen":" good","rejected":" bad","source":"x"}"#,
      #"{"question":"Q","answer_matching_behavior":"(A)","answer_not_matching_behavior":"(B)"}"#,
    ]
    let sets = try rows.map { try read($0 + "\n" + $0 + "\n") }
    #expect(sets.allSatisfy { $0.isPaired && $0.positives.count == 2 })
    #expect(sets.map(\.hasCompletions) == [false, true, true])
    #expect(sets[1].positives[1].prompt == "It was" && sets[1].negatives[1].text == " bad")
    #expect(sets[2].positives[0].text == "(A)")
  }

  @Test("in tables has quoted cells, and pairs by a column whatever their order")
  func table() throws {
    let set = try read(
      "Sentiment\tText\tbatch_id\nNegative\t\"a \"\"bad\"\"\tone\nhere\"\t4\nPositive\tso fine\t7\n"
        + "Negative\tdull\t7\nPositive\ta good one\t4\n",
      as: "pairs.tsv"
    )
    #expect(set.isPaired)
    #expect(set.positives.map(\.text) == ["so fine", "a good one"])
    #expect(set.negatives.map(\.text) == ["dull", "a \"bad\"\tone\nhere"])
    #expect(set.negatives[0].place.hasSuffix("pairs.tsv:5"))
  }

  @Test("of labelled texts needs no pairs, and no names where the labels explain themselves")
  func labels() throws {
    let text = #"[{"text":"a","label":1},{"text":"b","label":0},{"text":"c","label":0}]"#
    let set = try read(text, as: "rows.json")
    #expect(!set.isPaired && set.positives.map(\.text) == ["a"] && set.negatives.count == 2)
    let other = try read(text, as: "rows.json", ContrastReader(positiveLabels: ["0"]))
    #expect(other.positives.map(\.text) == ["b", "c"])
  }

  @Test("is split so that pairs stay together, the same way each time")
  func split() throws {
    let text = (0..<20).map { #"{"positive":"p\#($0)","negative":"n\#($0)"}"# }
      .joined(separator: "\n")
    let set = try read(text)
    let (training, heldOut) = try set.split(heldOut: 0.25, seed: 3)
    #expect(training.positives.count == 15 && heldOut.positives.count == 5)
    for part in [training, heldOut] {
      #expect(
        part.positives.map { $0.text.dropFirst() } == part.negatives.map { $0.text.dropFirst() }
      )
    }
    #expect(try set.split(heldOut: 0.25, seed: 3).heldOut == heldOut)
    #expect(try set.split(heldOut: 0.25, seed: 4).heldOut != heldOut)
    #expect(try set.split(heldOut: 0, seed: 0).heldOut.count == 0)
  }

  @Test("of suffixes has a pair for each suffix and word, and all beginnings of it where asked")
  func suffixes() throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      let expansion = try SuffixExpansion(
        template: "You are {}.",
        positiveWords: ["warm", "kind"],
        negativeWords: ["cold", "mean"]
      )
      let texts = [ContrastText(text: "", place: "s:1"), ContrastText(text: "I see", place: "s:2")]
      let set = expansion.pairs(with: texts)
      #expect(set.positives.count == 4 && set.hasCompletions)
      #expect(set.positives[1].prompt == "You are kind." && set.negatives[1].text == "")
      let whole = ContrastText(text: "The sun is hot and bright", place: "s:1")
      let beginnings = try SuffixExpansion.beginnings(
        of: [whole, whole],
        tokenizer: model.tokenizer
      )
      let count = model.tokenizer.encode(whole.text, parseSpecial: false, addBOS: false).count
      #expect(beginnings.count == count - 6)
      #expect(beginnings.allSatisfy { whole.text.hasPrefix($0.text) })
      // A prompt alone is a text of its own kind: an empty suffix reads its last token.
      let encoder = ContrastEncoder(model: model, usesChat: true)
      let encoded = try encoder.encode(set.positives[0])
      #expect(encoded.ids.count == encoded.promptLength && encoded.ids.count > 8)
    }
  }

  @Test(
    "that is wrong is refused with its line and a remedy",
    arguments: [
      (
        "{\"positive\":\"a\",\"negative\":\"b\"}\n{\"positive\":\"a\"}\n", "d.jsonl", ":2: expected"
      ),
      ("{\"a\":1}\n", "d.jsonl", ":1: expected {\"positive\""),
      ("[1]", "d.json", ":1: expected a text or an object, found a number; write"),
      (
        "{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"b\",\"label\":\"y\"}\n", "d.jsonl",
        "--positive"
      ),
      ("text\tlabel\na\t1\nb\n", "d.tsv", ":3: a row of 1 cell; expected 2: 'text', 'label'; give"),
      ("text\tlabel\n\"a\t1\n", "d.tsv", ":2: a cell begins with a double quote, and"),
      ("text\tlabel\n\"a\" b\t1\n", "d.tsv", ":2: ' b"),
      ("text,label,pair\na,1,1\nb,0,2\n", "d.csv", ":2: pair '1' does not have one text of each"),
      ("", "d.jsonl", ":1: no rows"),
      ("text\tlabel\n", "d.tsv", ":1: no rows; expected"),
    ]
  )
  func wrong(_ text: String, _ name: String, _ message: String) {
    #expect {
      _ = try read(text, as: name)
    } throws: { error in
      #expect("\(error)".contains(message), "\(error)")
      return (error as? ReFTError)?.code == .badData || (error as? ReFTError)?.code == .usage
    }
  }
}
