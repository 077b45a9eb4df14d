// SPDX-License-Identifier: Apache-2.0
// Evaluation files: tasks and adapters that results can tell apart, and somebody who is asked.

import Foundation
import ReFTEvaluation
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

@Suite("An evaluation file")
struct PlanTests {
  private static let task = """
    data: {file: rows.jsonl}
    prompt: "{q}"
    choice: {options: [a, b], answer: "{a}"}
    """

  /// The error of a plan that is read and checked as `reft eval` does.
  private func refusal(_ yaml: String) throws -> ReFTError? {
    try withTemporaryDirectory { folder in
      for name in ["cho", "other"] {
        let text = "task: cho\n" + Self.task
        try text.write(toFile: "\(folder)/\(name).yaml", atomically: true, encoding: .utf8)
      }
      let path = folder + "/eval.yaml"
      try yaml.write(toFile: path, atomically: true, encoding: .utf8)
      do {
        let plan = try EvaluationPlan.load(path: path)
        _ = try EvaluationPlan.read(plan.tasks, of: "tasks")
        _ = try plan.adapterNames()
        return nil
      } catch let error as ReFTError {
        return ReFTError(error.code, error.message.replacing(folder + "/", with: ""))
      }
    }
  }

  @Test(
    "is refused with the place where results could not be told apart, or there would be none",
    arguments: [
      (
        "model: m\ntasks: [{task: cho.yaml, limit: 2}, {task: cho.yaml, limit: 3, shots: 1}]\n",
        "eval.yaml:2:37: 'tasks' names the task 'cho' twice"
      ),
      (
        "model: m\ntasks: [cho.yaml, other.yaml]\n",
        "eval.yaml:2:19: 'tasks' names the task 'cho' twice"
      ),
      (
        "model: m\ntasks: [arc_easy_cloze]\n",
        "eval.yaml:2:9: the task 'arc_easy_cloze' names no file of rows; write {task: "
          + "arc_easy_cloze, data: FILE}"
      ),
      ("model: m\ntasks: [nope]\n", "eval.yaml:2:9: there is no task 'nope'"),
      (
        "model: m\nfrozen: false\ntasks: [cho.yaml]\n",
        "eval.yaml:2:9: 'frozen' is false and there are no 'adapters'"
      ),
      (
        "model: m\nadapters: [{name: x, path: a}, {name: x, path: b}]\ntasks: [cho.yaml]\n",
        "eval.yaml:2:32: an adapter is called 'x', the name of another adapter; give it another"
      ),
      (
        "model: m\nfrozen: true\nadapters: [{name: frozen, path: a}]\ntasks: [cho.yaml]\n",
        "eval.yaml:3:12: an adapter is called 'frozen', what results call the model without"
      ),
      ("# nothing\n", "eval.yaml:1:1: the evaluation is empty; it needs at least model and tasks"),
    ]
  )
  func refused(_ yaml: String, _ message: String) throws {
    let error = try refusal(yaml)
    #expect(error?.code == .badConfiguration)
    #expect(error?.message.hasPrefix(message) == true, "\(error?.message ?? "no error")")
  }

  @Test("calls adapters without a name by their runs, or by their folders where that is taken")
  func names() throws {
    var plan = EvaluationPlan()
    plan.adapters = ["a/run/adapter", "b/run/adapter", "c/half/adapter"].map {
      EvaluationPlan.Entry(path: $0)
    }
    plan.adapters.append(EvaluationPlan.Entry(path: "d/adapter", name: "half"))
    #expect(try plan.adapterNames() == ["run", "b/run/adapter", "c/half/adapter", "half"])
  }

  @Test("of options is refused as such")
  func options() {
    let items = [EvaluationPlan.Item(task: "rte"), EvaluationPlan.Item(task: "rte", data: "x")]
    for (items, message) in [
      ([items[0]], "the task 'rte' names no file of rows; give one with --data"),
      ([items[1], items[1]], "--task names the task 'rte' twice"),
    ] {
      let error = #expect(throws: ReFTError.self) {
        try EvaluationPlan.read(items, of: "--task")
      }
      #expect(error?.code == .usage)
      #expect(error?.message.hasPrefix(message) == true, "\(error?.message ?? "")")
    }
  }
}
