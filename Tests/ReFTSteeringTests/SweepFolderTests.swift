// SPDX-License-Identifier: Apache-2.0
// What lies in a sweep's folder: its own is replaced and dropped, all else stays. And what a sweep of
// a single pair tells.

import Foundation
import ReFTHost
import ReFTSteering
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("The folder of a sweep")
struct SweepFolderTests {
  private func steered<Result>(_ body: (Steered) throws -> Result) throws -> Result {
    try withTemporaryDirectory { try body(Steered($0)) }
  }

  private func report(_ results: [SteeringResult]) -> String {
    SteeringReport(
      facts: [],
      results: results,
      prompts: ["one two", "three"],
      recommended: nil,
      comparesCompletions: true,
      promptBaseline: nil
    ).html()
  }

  private func isThere(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

  @Test("is dropped whole by a restart, but for what the user put there")
  func restarts() throws {
    try steered { bench in
      let place = SweepFolder(bench.folder + "/s")
      let sweep = try bench.sweep()
      let results = try sweep.run(into: bench.store("s"))
      try AtomicFile.write(report(results), to: place.report)
      try sweep.steered(layer: 1, strength: 0.5).save(to: place.adapter)
      try AtomicFile.write("mine", to: place.adapter + "/notes")
      try place.checkOwnership()
      _ = try SweepStore(folder: place.path, facts: ["model": "other"], restarts: true)
      for path in [
        place.results, place.report, place.adapter + "/adapter_config.json",
        place.adapter + "/adapter_model.safetensors", place.adapter + "/README.md",
      ] { #expect(!isThere(path), "\(path)") }
      #expect(isThere(place.adapter + "/notes"))
      try place.checkOwnership()
      try sweep.steered(layer: 0, strength: 0.5).save(to: bench.folder + "/t/adapter")
      try SweepFolder(bench.folder + "/t").dropAdapter()
      #expect(!isThere(bench.folder + "/t/adapter"))
    }
  }

  @Test("with anything of no sweep is refused, also by a restart, and stays as it is")
  func refuses() throws {
    try steered { bench in
      let sweep = try bench.sweep()
      let results = try sweep.run(into: bench.store("s"))
      let lines = try String(contentsOfFile: bench.folder + "/s/results.jsonl", encoding: .utf8)
      func refused(_ item: String, _ make: (SweepFolder) throws -> Void) throws {
        let place = SweepFolder(bench.folder + "/" + UUID().uuidString)
        try FileManager.default.createDirectory(
          atPath: place.path,
          withIntermediateDirectories: true
        )
        try make(place)
        for restarts in [false, true] {
          let error = #expect(throws: ReFTError.self) {
            try SweepStore(folder: place.path, facts: ["model": "tiny"], restarts: restarts)
          }
          #expect(error?.code == .usage)
          #expect(error?.message.contains("/\(item)', which is of no sweep there") == true)
        }
        #expect(isThere(place.path + "/" + item))
      }
      try refused("adapter") { try bench.adapter.save(to: $0.adapter) }
      try refused("report.html") { try AtomicFile.write(report(results), to: $0.report) }
      try refused("results.jsonl") {
        try AtomicFile.write("{\"name\":\"a\",\"status\":\"finished\"}\n", to: $0.results)
      }
      // An adapter of another making, and a page of another kind, beside a sweep's results.
      try refused("adapter") {
        try AtomicFile.write(lines, to: $0.results)
        try sweep.steered(layer: 1, strength: 0.25).save(to: $0.adapter)
      }
      try refused("report.html") {
        try AtomicFile.write(lines, to: $0.results)
        try AtomicFile.write("<!DOCTYPE html><title>Training</title>", to: $0.report)
      }
    }
  }

  @Test("tells no error of a single pair, and nothing is recommended on it")
  func onePair() throws {
    try steered { bench in
      let pair = bench.contrast.first(1)
      let sweep = try bench.sweep(baseline: nil, contrast: pair)
      #expect(try sweep.effectCount == 1 && bench.sweep().effectCount == 8)
      let results = try sweep.run(into: bench.store("one"))
      #expect(results.count == 5 && results.allSatisfy { $0.effectError == nil })
      #expect(results.contains { $0.effect > 0 } && results.lacksErrors)
      #expect(results.recommended(perplexityLimit: .infinity) == nil)
      let text = try String(contentsOfFile: bench.folder + "/one/results.jsonl", encoding: .utf8)
      #expect(text.contains("\"effect_stderr\":null"))
      #expect(try bench.store("one").results == results)
      #expect(report(results).contains("<td>–</td>"))
      #expect(report(results).contains("its error is unknown and no setting is recommended"))
    }
  }
}
