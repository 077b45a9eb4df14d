// SPDX-License-Identifier: Apache-2.0
// `reft task`: the tasks that come along, which file each needs, and their text to start from.

import ArgumentParser
import ReFTEvaluation
import ReFTTensor

struct TaskCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "task",
    abstract: "Tasks that come along: which there are, and which files they need.",
    subcommands: [List.self, Info.self, Show.self]
  )

  /// A task as JSON tells it.
  private struct Document: Encodable {
    var task: String
    var description: String
    var scorer: String
    var get: String
    var licence: String

    init(_ file: TaskFile) {
      task = file.name
      description = file.summary
      scorer = file.kind
      get = file.origin
      licence = file.licence
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the tasks that come along.",
      discussion: """
        EXAMPLES
          reft task list
          reft task list --json
        """
    )
    @OptionGroup var common: CommonOptions

    func run() throws {
      let tasks = try TaskLibrary.tasks()
      if common.json { return try Output.json(["tasks": tasks.map(Document.init)]) }
      Output.table(tasks.map { [$0.name, $0.kind, $0.summary] })
    }
  }

  struct Info: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "What a task asks, which file to get, its form and its licence.",
      discussion: """
        EXAMPLES
          reft task info arc_easy_cloze
          reft task info my.yaml
        """
    )
    @Argument(help: "A task's name, or its YAML file.")
    var task: String
    @OptionGroup var common: CommonOptions

    func run() throws {
      let file = try TaskFile(task)
      if common.json { return try Output.json(Document(file)) }
      Output.table([
        ["task", file.name], ["asks", file.summary], ["scored by", file.kind],
        ["get", file.origin.isEmpty ? "the task says nothing" : file.origin],
        ["licence", file.licence.isEmpty ? "the task says nothing" : file.licence],
      ])
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print a task's YAML, to read it or to start from it.",
      discussion: """
        EXAMPLES
          reft task show arc_easy_cloze > mine.yaml
        """
    )
    @Argument(help: "A task's name, or its YAML file.")
    var task: String
    @OptionGroup var common: CommonOptions

    func run() throws {
      let file = try TaskFile(task)
      if common.json { return try Output.json(["task": file.name, "yaml": file.source]) }
      Output.result(file.source)
    }
  }
}
