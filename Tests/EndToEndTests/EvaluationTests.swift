// SPDX-License-Identifier: Apache-2.0
// `reft eval` and `reft task` as a user calls them: documents, folders, going on, tasks in training.

import Foundation
import Testing
import _ReFTTestSupport

@Suite("Evaluation")
struct EvaluationTests {
  private static let task = """
    task: follows
    data: {file: rows.jsonl}
    prompt: "{prompt}"
    delimiter: ""
    choice: {options: ["{completion}", " x y z"], answer: 0}
    """

  private func withBench(_ body: (Workbench) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      try bench.write(Self.task, to: "task.yaml")
      try body(bench)
    }
  }

  private func reft(_ bench: Workbench, _ words: String) throws -> Tool {
    try Tool.reft(words.split(separator: " ").map(String.init), folder: bench.folder)
  }

  @Test("of one task tells it at the top and in the list, with error, chance and rows")
  func document() throws {
    try withBench { bench in
      let tool = try reft(bench, "eval --task task.yaml --model tiny.gguf --json")
      #expect(tool.status == 0, "\(tool.errors)")
      let document = try tool.json()
      let keys = "task adapter metric value stderr chance n seconds"
      let names = Set(keys.split(separator: " ").map(String.init))
      #expect(Set(document.keys) == names.union(["results"]))
      let results = try #require(document["results"] as? [[String: Any]])
      #expect(results.count == 3 && results.allSatisfy { Set($0.keys) == names })
      #expect(document["task"] as? String == "follows" && document["chance"] as? Double == 0.5)
    }
  }

  @Test("leaves each row's outputs, refuses a folder that holds some, and goes on with --resume")
  func folder() throws {
    try withBench { bench in
      let call = "eval --task task.yaml --model tiny.gguf --output out"
      #expect(try reft(bench, call).status == 0)
      let names = try FileManager.default.contentsOfDirectory(atPath: bench.path("out"))
      #expect(
        names.sorted() == [
          "evaluation.json", "outputs-follows-frozen.jsonl", "results.json", "task-follows.json",
        ]
      )
      let again = try reft(bench, call)
      #expect(again.status == 64 && again.errors.contains("or go on with --resume"))
      #expect(try reft(bench, call + " --resume").status == 0)
      let other = try reft(bench, call + " --resume --limit 1")
      #expect(other.status == 64 && other.errors.contains("is another: limit changed"))
      let rounded = try reft(bench, call + " --resume --activations int8 --kv-cache int8")
      #expect(rounded.status == 64 && rounded.errors.contains("is another: arithmetic changed"))
    }
  }

  @Test("of a file and of a task in training find the same task")
  func files() throws {
    try withBench { bench in
      try bench.write(
        "model: tiny.gguf\ntasks: [{task: task.yaml, limit: 2}]\noutput: out\n",
        to: "eval.yaml"
      )
      let tool = try reft(bench, "eval eval.yaml --json")
      #expect(tool.status == 0, "\(tool.errors)")
      #expect(try tool.json()["n"] as? Int == 2)
      let training = try reft(
        bench,
        "train run.yaml --set train.validate=[task.yaml] --set train.metric=follows.acc --json"
      )
      #expect(training.status == 0, "\(training.errors)")
      #expect(training.errors.contains("follows.acc "))
      let best = try #require(try training.json()["best_metric"] as? [String: Double])
      #expect(Array(best.keys) == ["follows.acc"])
    }
  }

  @Test("names the place of a task of training that lacks its rows, is unknown, or is named twice")
  func wrongTasks() throws {
    try withBench { bench in
      for (value, message) in [
        ("[arc_easy_cloze]", "the task 'arc_easy_cloze' names no file of rows; write {task: "),
        ("[nope]", "there is no task 'nope'"),
        ("[task.yaml, task.yaml]", "'train.validate' names the task 'follows' twice"),
      ] {
        try bench.write(
          Workbench.config.replacing(
            "  batch_size: 2\n",
            with: "  batch_size: 2\n  validate: \(value)\n"
          ),
          to: "wrong.yaml"
        )
        let tool = try reft(bench, "train wrong.yaml")
        #expect(tool.status == 78 && tool.errors.contains(message), "\(tool.errors)")
        #expect(tool.errors.contains("wrong.yaml:14:"), "\(tool.errors)")
        #expect(!tool.errors.contains("--data"))
      }
    }
  }

  @Test("by options refuses one task twice before anything is asked")
  func twice() throws {
    try withBench { bench in
      let call = "eval --task task.yaml --task task.yaml --model tiny.gguf --output out"
      let tool = try reft(bench, call)
      #expect(tool.status == 64, "\(tool.errors)")
      #expect(tool.errors.contains("error: --task names the task 'follows' twice"))
      #expect(!FileManager.default.fileExists(atPath: bench.path("out")))
    }
  }

  @Test("knows tasks by name, and tells which file each needs")
  func tasks() throws {
    let list = try Tool.reft(["task", "list", "--json"])
    let tasks = try #require(try list.json()["tasks"] as? [[String: String]])
    #expect(tasks.count > 30 && tasks.allSatisfy { $0["get"]?.isEmpty == false })
    let info = try Tool.reft(["task", "info", "hellaswag_cloze"])
    #expect(info.text.contains("hellaswag/test.json"))
    #expect(try Tool.reft(["task", "show", "rte"]).text.contains("class: {text:"))
    let wrong = try Tool.reft(["task", "info", "helaswag"])
    #expect(wrong.status == 64 && wrong.errors.contains("did you mean 'hellaswag'?"))
  }
}
