// SPDX-License-Identifier: Apache-2.0
// Sweeps on the tiny model, as the command runs them.

import Foundation
import ReFTHost
import ReFTSteering
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

@Suite("Sweep of strengths")
struct SweepTests {
  private func steered<Result>(_ body: (Steered) throws -> Result) throws -> Result {
    try withTemporaryDirectory { try body(Steered($0)) }
  }

  @Test("measures what scoring with the same adapter does")
  func effect() throws {
    try steered { bench in
      let results = try bench.sweep().run(into: bench.store("a"))
      #expect(results.count == 6 && results[0].setting == .frozen && results[1].setting == .prompt)
      #expect(results[0].effect == 0 && results[0].divergence ?? 1 < 1e-5)
      func score(_ adapter: Adapter?, _ side: KeyPath<(String, String, String), String>) throws
        -> [Double]
      {
        let path = bench.folder + "/rows.jsonl"
        let rows = Steered.pairs.map {
          #"{"prompt":"\#($0.0)","completion":"\#($0[keyPath: side])"}"#
        }
        try rows.joined(separator: "\n").write(toFile: path, atomically: true, encoding: .utf8)
        var options = DataSet.Options()
        options.appendsEndOfSequence = false
        let data = try DataSet(
          path: path,
          options: options,
          coder: bench.model.tokenizer,
          chatTemplate: nil
        )
        return try Scorer(model: bench.model, adapter: adapter).score(data).rows.map {
          ($0.loss ?? 0) * Double($0.tokens)
        }
      }
      for (layer, strength) in [(0, -0.5), (0, 0.5), (1, -0.5), (1, 0.5)] {
        let edit = try bench.sweep().steered(layer: layer, strength: strength)
        let leans = try [edit, nil].map { adapter in
          zip(try score(adapter, \.2), try score(adapter, \.1)).map { $0 - $1 }
        }
        let expected = zip(leans[0], leans[1]).reduce(0) { $0 + $1.0 - $1.1 } / 8
        let setting = SteeringSetting.steered(layer: layer, strength: strength)
        let found = try #require(results.result(of: setting))
        #expect(abs(found.effect - expected) < 1e-4, "\(setting): \(found.effect), \(expected)")
        #expect(found.divergence ?? 0 > 1e-4 && found.replies.count == 2)
      }
    }
  }

  @Test("that is ended goes on where it was, to the same results")
  func resumes() throws {
    try steered { bench in
      let whole = try bench.sweep().run(into: bench.store("whole"))
      let stop = StopFlag()
      #expect {
        _ = try bench.sweep().run(into: bench.store("part"), stop: stop) { done in
          if done >= 4 { stop.set() }
        }
      } throws: { ($0 as? ReFTError)?.code == .interrupted && "\($0)".contains("4 of 6") }
      // A line that was being written when the machine went down.
      let path = bench.folder + "/part/" + SweepStore.fileName
      let text = try String(contentsOfFile: path, encoding: .utf8) + "{\"setting\":\"stee"
      try text.write(toFile: path, atomically: true, encoding: .utf8)
      let store = try bench.store("part")
      #expect(store.results.count == 4)
      #expect(try bench.sweep().run(into: store) == whole)
      #expect(try bench.store("part").results.count == 6)
    }
  }

  @Test("mixes no results of two sweeps, and says which line is none")
  func store() throws {
    try steered { bench in
      _ = try bench.sweep().run(into: bench.store("a"))
      #expect {
        _ = try bench.store("a", facts: ["model": "other"])
      } throws: { "\($0)".contains("its model is 'tiny', here 'other'; give another --output") }
      let path = bench.folder + "/a/" + SweepStore.fileName
      var lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
      lines[2] = "{}"
      try lines.joined(separator: "\n").write(toFile: path, atomically: true, encoding: .utf8)
      #expect {
        _ = try bench.store("a")
      } throws: { "\($0)".contains("results.jsonl:3: no line of a sweep's results") }
      let fresh = try SweepStore(folder: bench.folder + "/a", facts: ["x": "y"], restarts: true)
      #expect(fresh.results.isEmpty)
    }
  }

  @Test("projects final states where texts have no completions: frozen texts lie at one half")
  func projection() throws {
    try steered { bench in
      let texts = ContrastSet(
        positives: bench.contrast.positives.map { ContrastText(text: $0.text, place: $0.place) },
        negatives: bench.contrast.negatives.map { ContrastText(text: $0.text, place: $0.place) },
        isPaired: true
      )
      let sweep = try bench.sweep(baseline: nil, contrast: texts)
      #expect(!sweep.comparesCompletions && sweep.settingCount == 5)
      let results = try sweep.run(into: bench.store("p"))
      #expect(abs(results[0].score - 0.5) < 1e-9)
      let (down, up) = (results[3].effect, results[4].effect)
      #expect(down < 0 && up > 0, "\(down) \(up)")
    }
  }

  @Test("recommends the largest effect whose perplexity stays within the limit")
  func recommends() {
    func result(_ strength: Double, effect: Double, increase: Double) -> SteeringResult {
      SteeringResult(
        setting: .steered(layer: 1, strength: strength),
        score: 0,
        effect: effect,
        effectError: 0.1,
        perplexity: 10,
        perplexityIncrease: increase
      )
    }
    let results = [
      result(0.1, effect: 0.05, increase: 0), result(0.2, effect: 1, increase: 0.02),
      result(0.4, effect: 2, increase: 0.09), result(0.8, effect: 5, increase: 0.5),
    ]
    #expect(results.recommended(perplexityLimit: 0.1) == results[2])
    #expect(results.recommended(perplexityLimit: 0.05) == results[1])
    #expect(results.recommended(perplexityLimit: 0.01) == nil)
  }

  @Test("writes a report of one file that quotes what models say")
  func report() throws {
    try steered { bench in
      var results = try bench.sweep().run(into: bench.store("a"))
      results[0].replies[0] = "<script>alert(1)</script>"
      let page = SteeringReport(
        facts: [("model", "Tiny")],
        results: results,
        prompts: ["one two", "three"],
        recommended: results.last,
        comparesCompletions: true,
        promptBaseline: "Praise it."
      ).html()
      #expect(page.contains("color-scheme: light dark") && !page.contains("<script"))
      #expect(page.contains("&lt;script&gt;") && page.components(separatedBy: "<svg").count == 5)
      #expect(page.contains("layer 1, −0.5") && page.contains("Prompted: “Praise it.”"))
      let hasLinks = page.contains("http:") || page.contains("https:") || page.contains("src=")
      #expect(!hasLinks)
    }
  }
}
