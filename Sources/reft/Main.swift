// SPDX-License-Identifier: Apache-2.0
// The entry point: parse, run, and turn every error into one line and an exit status.

import ArgumentParser
import Foundation
import Logging
import ReFTConformance
import ReFTHost
import ReFTTensor

/// The root command; everything that works is a subcommand.
struct Reft: ParsableCommand {
  static let version = "\(ProgramVersion.text)"

  static let configuration = CommandConfiguration(
    commandName: "reft",
    abstract: "Representation finetuning and steering of frozen language models, by plugins.",
    discussion: """
      EXAMPLES
        reft model pull smollm2-135m-instruct
        reft train run.yaml
        reft generate --model smollm2-135m-instruct --adapter A --chat "Hi"
        reft plugin list

      MODEL is a path to a .gguf file, or a short name found under $REFT_HOME/models (default \
      ~/.cache/reft/models). Results go to stdout, everything else to stderr; --json prints one \
      document. Exit codes: 0 ok, 64 usage, 65 bad data, 66 input missing, 69 plugin unavailable \
      or refused, 70 internal, 74 I/O, 78 bad configuration, 130 interrupted after saving.

      Completion scripts: reft --generate-completion-script bash|zsh|fish
      """,
    version: version,
    subcommands: [
      ModelCommand.self, TokenizeCommand.self, ScoreCommand.self, EmbedCommand.self,
      CollectCommand.self, GenerateCommand.self, ChatCommand.self, TrainCommand.self,
      SweepCommand.self, ReportCommand.self, RecipeCommand.self, EvalCommand.self, TaskCommand.self,
      PluginCommand.self, AdapterCommand.self, SteerCommand.self,
      BenchCommand.self, DoctorCommand.self,
    ]
  )
}

@main
enum Entry {
  static func main() {
    StandardStream.prepare()
    ConformanceChild.runIfAsked(arguments: CommandLine.arguments)
    // From here on, what plugins print is no part of a result.
    _ = Output.resultDescriptor
    LoggingSystem.bootstrap { _ in PlainLog() }
    ForeignCalls.watchExit()
    do {
      try CommandWords.check(Array(CommandLine.arguments.dropFirst()))
      try RepeatedOptions.check(Array(CommandLine.arguments.dropFirst()))
      var command = try Reft.parseAsRoot()
      try Machine.checkEnvironment()
      try command.run()
      Output.finish()
      ForeignCalls.expectExit()
    } catch {
      ErrorReport(error, verbose: CommandLine.arguments.contains("--verbose")).exit()
    }
  }
}
