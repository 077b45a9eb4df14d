// SPDX-License-Identifier: Apache-2.0
// Task files of lm-evaluation-harness, and ours: what they ask of a model, and what is refused.

import Foundation
import ReFTEvaluation
import ReFTHost
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("A task file")
struct TaskFileTests {
  private static let harness = """
    task: colours
    dataset_path: json
    dataset_kwargs:
      data_files: {test: rows.jsonl}
    test_split: test
    output_type: multiple_choice
    doc_to_text: "Of {{ things | join(', ') }}: {{question}}\\nAnswer:"
    doc_to_choice: "{{choices.text}}"
    doc_to_target: "{{choices.label.index(key)}}"
    metric_list:
      - {metric: acc, aggregation: mean, higher_is_better: true}
    metadata: {version: 1.0}
    """

  private func parse(_ yaml: String) throws -> TaskFile {
    try TaskFile.parse(yaml: yaml, path: "t.yaml")
  }

  private func message(_ yaml: String) -> String {
    do {
      _ = try parse(yaml)
      return "no error"
    } catch {
      return "\(error)"
    }
  }

  @Test("of lm-evaluation-harness runs as it is where it uses no Python")
  func harness() throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      let rows = """
        {"things":["a","b"],"question":"which?","choices":{"text":["the one","in"],"label":["A","B"]},"key":"B"}
        {"things":["c"],"question":"what?","choices":{"text":["on","and the"],"label":["A","B"]},"key":"A"}
        """
      try rows.write(toFile: folder + "/rows.jsonl", atomically: true, encoding: .utf8)
      try Self.harness.write(toFile: folder + "/t.yaml", atomically: true, encoding: .utf8)
      let task = try TaskFile(folder + "/t.yaml")
      let results = try TaskEvaluator(model: model).evaluate(task)
      #expect(results.map(\.metric) == ["acc", "acc_norm", "acc_bytes"])
      #expect(results[0].count == 2 && results[0].chance == 0.5 && results[0].task == "colours")
    }
  }

  @Test("that calls Python is refused with the line, and says why")
  func python() {
    let text = message(Self.harness + "\nprocess_docs: !function utils.process_docs\n")
    #expect(text.contains("t.yaml:13:15: the tag '!function' asks for Python code"), "\(text)")
    #expect(
      message(Self.harness + "\nprocess_docs: x\n").contains("'process_docs' changes the task")
    )
  }

  @Test("of a data set of the hub says what to write instead")
  func hub() {
    let yaml = Self.harness.replacing("dataset_path: json", with: "dataset_path: allenai/ai2_arc")
    #expect(message(yaml).contains("a data set of the hub; fetch it"))
  }

  @Test("with two scorers, or none, is refused")
  func scorers() {
    #expect(message("prompt: x").contains("a task has one scorer"))
    let two = "prompt: x\nperplexity: {text: a}\nchoice: {options: [a, b], answer: a}"
    #expect(message(two).contains("found choice and perplexity"))
  }

  @Test("with an unknown key names the nearest one")
  func unknownKey() {
    let text = message("promt: x\nperplexity: {text: a}")
    #expect(text.contains("unknown key 'promt'") && text.contains("'prompt'"), "\(text)")
  }

  @Test("that is empty is told what a task needs")
  func empty() {
    let text = message("")
    #expect(text.contains("t.yaml:1:1: the task is empty; it needs at least a scorer"), "\(text)")
  }

  @Test("says what guessing comes to only where there is something to guess")
  func chance() {
    let text = message("chance: 0.5\nperplexity: {text: a}")
    #expect(text.contains("t.yaml:1:9: 'chance' is of choice and generate, and"), "\(text)")
  }

  @Test("that comes along can be read, and says which file to get")
  func library() throws {
    let tasks = try TaskLibrary.tasks()
    #expect(!tasks.isEmpty && Set(tasks.map(\.name)).count == tasks.count)
    for task in tasks {
      #expect(!task.summary.isEmpty && !task.origin.isEmpty && !task.licence.isEmpty)
    }
    #expect(throws: ReFTError.self) { try TaskFile("arc_eazy") }
  }
}
