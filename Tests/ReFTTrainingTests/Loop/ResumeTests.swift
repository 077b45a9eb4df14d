// SPDX-License-Identifier: Apache-2.0
// Runs that end early and go on: the same bits as runs that do not.

import Foundation
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

struct ResumeTests {
  private static let overrides = [
    "train.epochs=3", "interventions.0.options.dropout=0.1", "data.validation=held.jsonl",
    "train.eval_every=2", "train.save_every=3",
  ]

  @Test("goes on bit for bit after an interruption at any step", arguments: [1, 4, 8])
  func interruption(step: Int) throws {
    try withTinyRun { run in
      try run.train("whole", Self.overrides)
      let error = #expect(throws: ReFTError.self) {
        try run.train("parts", Self.overrides, endingAt: step)
      }
      #expect(error?.code == .interrupted)
      #expect(
        error?.message == "ended after step \(step) of 9, all saved; go on with: reft train "
          + "\(run.folder)/run.yaml --resume"
      )
      try run.train("parts", Self.overrides, mode: .resume)
      try expectEqualRuns(run, "whole", "parts")
    }
  }

  @Test("goes on bit for bit from what a kill leaves at any moment")
  func anyMoment() throws {
    try withTinyRun { run in
      // A copy of the folder at an event is what a kill at that moment leaves.
      var snapshots: [String] = []
      try run.train("whole", Self.overrides) { event in
        switch event {
        case .prepared, .step, .saved, .validated:
          let copy = "killed-\(snapshots.count)"
          if (try? FileManager.default.copyItem(
            atPath: run.folder + "/whole",
            toPath: run.folder + "/" + copy
          )) != nil {
            snapshots.append(copy)
          }
        case .warning, .judged, .endedEarly: break
        }
      }
      #expect(snapshots.count > 15)
      for (index, name) in snapshots.enumerated() {
        let folder = run.folder + "/" + name
        // Half a metrics line, half a checkpoint and a half-removed one, as kills leave them.
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: folder + "/metrics.jsonl"))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data("{\"step\":\(index),\"ep".utf8))
        try handle.close()
        for leftover in [".step-9.tmp-1", ".removed-1-1"] {
          try FileManager.default.createDirectory(
            atPath: folder + "/checkpoints/" + leftover,
            withIntermediateDirectories: true
          )
        }
        try run.train(name, Self.overrides, mode: .resume)
        try expectEqualRuns(run, "whole", name)
        try FileManager.default.removeItem(atPath: folder)
      }
    }
  }

  @Test("goes on after a real SIGKILL inside a step")
  func realKill() async throws {
    let folder = NSTemporaryDirectory() + "/reft-kill-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let run = try TinyRun(folder: folder)
    try run.train("whole", Self.overrides)
    await #expect(processExitsWith: .signal(SIGKILL)) { [folder = folder as String] in
      let run = try TinyRun(folder: folder)
      try run.train("killed", ResumeTests.overrides) { event in
        if case .validated(let step, _, _, _) = event, step == 4 { kill(getpid(), SIGKILL) }
      }
    }
    #expect(try run.records("killed").map(\.step) == [1, 2, 3])
    try run.train("killed", Self.overrides, mode: .resume)
    try expectEqualRuns(run, "whole", "killed")
    try FileManager.default.removeItem(atPath: folder)
  }

  /// Same adapter, byte for byte, and same records but for times.
  private func expectEqualRuns(_ run: TinyRun, _ a: String, _ b: String) throws {
    for name in ["adapter_model.safetensors", "adapter_config.json", "README.md"] {
      #expect(try run.bytes("\(a)/adapter/\(name)") == run.bytes("\(b)/adapter/\(name)"))
    }
    let records = try [a, b].map { try run.records($0).map(timeless) }
    #expect(records[0] == records[1])
  }

  private func timeless(_ record: StepRecord) -> StepRecord {
    var copy = record
    (copy.seconds, copy.tokensPerSecond, copy.peakRssBytes) = (0, 0, 0)
    return copy
  }

  @Test("never overwrites a run unasked")
  func overwriting() throws {
    try withTinyRun { run in
      _ = try? run.train("out", endingAt: 3)
      let unfinished = #expect(throws: ReFTError.self) { try run.train("out") }
      #expect(unfinished?.code == .usage)
      #expect(
        unfinished?.message
          == "'\(run.folder)/out' holds a run that ended after step 3; go on with "
          + "--resume, or start anew with --overwrite"
      )
      try run.train("out", mode: .resume)
      let adapter = try run.tensors("out")
      let finished = #expect(throws: ReFTError.self) { try run.train("out") }
      #expect(
        finished?.message
          == "'\(run.folder)/out' holds a finished run; choose another --output, or "
          + "train it anew with --overwrite"
      )
      // Resuming what is finished does no step and gives the same.
      var steps = 0
      let summary = try run.train("out", mode: .resume) { event in
        if case .step = event { steps += 1 }
      }
      #expect(steps == 0 && summary.steps == 6)
      #expect(try run.tensors("out") == adapter)
      let foreign = run.folder + "/out/notes.txt"
      try Data("mine".utf8).write(to: URL(fileURLWithPath: foreign))
      try run.train("out", ["train.seed=9"], mode: .overwrite)
      #expect(try run.tensors("out") != adapter)
      #expect(FileManager.default.fileExists(atPath: foreign))
    }
  }

  @Test("leaves files alone that are of no run")
  func strangers() throws {
    try withTinyRun { run in
      let adapter = run.folder + "/out/adapter"
      try FileManager.default.createDirectory(atPath: adapter, withIntermediateDirectories: true)
      for mode in [Trainer.Mode.fresh, .resume] {
        let error = #expect(throws: ReFTError.self) { try run.train("out", mode: mode) }
        #expect(error?.code == .usage)
        #expect(
          error?.message == "'\(run.folder)/out' holds '\(adapter)', which is of no run there and "
            + "would be replaced; choose another --output, or move it away"
        )
      }
      #expect(FileManager.default.fileExists(atPath: adapter))
    }
  }

  @Test("names the settings that changed, and lets those change that decide nothing")
  func settings() throws {
    try withTinyRun { run in
      _ = try? run.train("out", endingAt: 2)
      let error = #expect(throws: ReFTError.self) {
        try run.train("out", ["train.learning_rate=1", "train.epochs=5"], mode: .resume)
      }
      #expect(error?.code == .badConfiguration)
      #expect(
        error?.message
          == "the run in '\(run.folder)/out' began with other settings: train.epochs was "
          + "2 and is 5; train.learning_rate was 0.02 and is 1.0; set them back to go on, or train "
          + "anew with another --output or --overwrite"
      )
      try run.write(rows: 13, to: "rows.jsonl")
      let data = #expect(throws: ReFTError.self) { try run.train("out", mode: .resume) }
      #expect(data?.message.contains("data.train hash was sha256:") == true)
      try run.write(rows: 12, to: "rows.jsonl")
      let summary = try run.train("out", ["train.save_every=5"], mode: .resume)
      #expect(summary.steps == 6)
    }
  }

  @Test("starts anew where there is nothing to resume, with a warning")
  func nothing() throws {
    try withTinyRun { run in
      var warnings: [String] = []
      try run.train("out", ["train.max_steps=1"], mode: .resume) { event in
        if case .warning(let text) = event { warnings.append(text) }
      }
      #expect(warnings == ["'\(run.folder)/out' holds no run to go on with; starting anew"])
    }
  }

  @Test("refuses a second process in the same folder, and a checkpoint that is broken")
  func folders() throws {
    try withTinyRun { run in
      _ = try? run.train("out", endingAt: 2)
      do {
        let other = RunFolder(run.folder + "/out")
        try other.open()
        let locked = #expect(throws: ReFTError.self) { try run.train("out", mode: .resume) }
        #expect(
          locked?.message == "another process is training in '\(run.folder)/out'; wait for it, or "
            + "choose another --output"
        )
        withExtendedLifetime(other) {}
      }
      let state = run.folder + "/out/checkpoints/step-00000002/state.json"
      try Data("{}".utf8).write(to: URL(fileURLWithPath: state))
      let broken = #expect(throws: ReFTError.self) { try run.train("out", mode: .resume) }
      #expect(broken?.code == .badData)
      #expect(broken?.message.contains("step-00000002' cannot be used") == true)
    }
  }
}
