// SPDX-License-Identifier: Apache-2.0
// `reft recipe`: configurations to start from.

import ArgumentParser
import Foundation
import ReFTRecipes
import ReFTTensor

struct RecipeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "recipe",
    abstract: "Configurations to start from: the paper's, small ones, and others.",
    subcommands: [List.self, Show.self, Copy.self]
  )

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list",
      abstract: "List the recipes.",
      discussion: """
        EXAMPLES
          reft recipe list
          reft recipe list --json
        """
    )

    @OptionGroup var common: CommonOptions

    private struct Document: Encodable { var recipes: [Row] }

    func run() throws {
      if common.json { return try Output.json(Document(recipes: Recipe.all.map(Row.init))) }
      Output.table(Recipe.all.map { [$0.name, $0.title] })
      Output.line("\n`reft recipe show NAME` says which data and model it needs")
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "show",
      abstract: "Print a recipe: what it needs, and its configuration.",
      discussion: """
        EXAMPLES
          reft recipe show paper-commonsense
          reft recipe show emoji --json
        """
    )

    @OptionGroup var choice: RecipeChoice
    @OptionGroup var common: CommonOptions

    private struct Document: Encodable {
      var recipe: Row
      var yaml: String
    }

    func run() throws {
      let recipe = try choice.recipe()
      guard common.json else { return Output.piece(recipe.text) }
      try Output.json(Document(recipe: Row(recipe), yaml: recipe.text))
    }
  }

  struct Copy: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "copy",
      abstract: "Write a recipe to a file, to change and to train.",
      discussion: """
        Paths in a configuration are relative to its file: put the data where the recipe has it, or \
        name it by --set.

        EXAMPLES
          reft recipe copy style --output run.yaml
          reft train run.yaml --set data.train=rows.jsonl --set data.validation=0.1
        """
    )

    @OptionGroup var choice: RecipeChoice
    @Option(help: ArgumentHelp("The file; NAME.yaml by default.", valueName: "f.yaml"))
    var output: String?
    @OptionGroup var common: CommonOptions

    private struct Document: Encodable {
      var name: String
      var path: String
    }

    func run() throws {
      let recipe = try choice.recipe()
      let path = output ?? recipe.name + ".yaml"
      try ResultFile(option: "--output", path: path).check(inputs: [], kind: "copy of the recipe") {
        FileManager.default.contents(atPath: $0) == Data(recipe.text.utf8)
      }
      try AtomicFile.write(recipe.text, to: path)
      guard common.json else { return Output.line(path) }
      try Output.json(Document(name: recipe.name, path: path))
    }
  }

  /// What of a recipe is told in JSON.
  private struct Row: Encodable {
    var name: String
    var title: String
    var data: String
    var model: String
    var takes: String

    init(_ recipe: Recipe) {
      (name, title, data) = (recipe.name, recipe.title, recipe.data)
      (model, takes) = (recipe.model, recipe.takes)
    }
  }
}

/// The recipe of a command.
struct RecipeChoice: ParsableArguments {
  @Argument(help: "One of `reft recipe list`.")
  var name: String

  /// The recipe of that name.
  func recipe() throws(ReFTError) -> Recipe {
    if let recipe = Recipe.all.first(where: { $0.name == name }) { return recipe }
    let guess = NearestName.find(name, in: Recipe.all.map(\.name))
    throw ReFTError(
      .usage,
      "there is no recipe '\(name.shown())'" + (guess.map { " (did you mean '\($0)'?)" } ?? "")
        + "; `reft recipe list` names them all"
    )
  }
}
