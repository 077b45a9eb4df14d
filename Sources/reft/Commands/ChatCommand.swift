// SPDX-License-Identifier: Apache-2.0
// `reft chat`: a conversation in the terminal.

import ArgumentParser
import Foundation
import ReFTGeneration
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText

struct ChatCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "chat",
    abstract: "Talk with a model in the terminal.",
    discussion: """
      One message per line; an empty line is passed over. /reset forgets the conversation, as it must \
      be once it fills the model's context; /quit or Ctrl-D ends it.

      EXAMPLES
        reft chat --model smollm2-135m-instruct
        reft chat --model smollm2-135m-instruct --adapter runs/demo/adapter
      """
  )

  @OptionGroup var model: ModelOptions
  @OptionGroup var adapterOptions: AdapterOptions
  @OptionGroup var device: DeviceOptions
  @OptionGroup var sampling: SamplingArguments
  @OptionGroup var precision: PrecisionOptions
  @OptionGroup var subspaces: SubspaceOptions
  @OptionGroup var plugins: PluginOptions

  @Flag(help: "Show after each reply which token was changed at which site by how much.")
  var trace = false
  @Option(help: "A message that sets the scene, before the first one.")
  var system: String?
  @Flag(help: "With an error, print where it comes from and its causes.")
  var verbose = false

  func run() throws {
    _ = try sampling.options()
    sampling.tellIgnored()
    try subspaces.check(adapterOptions)
    let generator = try TextGenerator(path: model.path(), device: device.open())
    let adapters = try adapterOptions.load(for: generator.model, catalog: try plugins.catalog())
    let opening = system.map { [ChatMessage(role: "system", content: $0)] } ?? []
    var messages = opening
    let isInteractive = isatty(STDIN_FILENO) == 1
    while true {
      if isInteractive { Output.prompt("> ") }
      guard let line = readLine() else { break }
      let text = line.trimmingCharacters(in: .whitespaces)
      if text == "/quit" { break }
      if text == "/reset" {
        messages = opening
        continue
      }
      if text.isEmpty { continue }
      messages.append(ChatMessage(role: "user", content: text))
      var request = try sampling.request(.chat(messages), adapters: adapters)
      request.subspace = subspaces.subspace
      do {
        try generator.check(request)
      } catch {
        // What cannot be answered is not said: the conversation goes on as it was before.
        messages.removeLast()
        Output.note("error: \(error.message), or forget the conversation with /reset")
        continue
      }
      let trace = self.trace ? EditTrace() : nil
      let results = try generator.generate(
        [request],
        precision: precision.value,
        trace: trace
      ) { event in
        if case .text(_, let piece) = event { Output.piece(piece) }
      }
      Output.line()
      if let trace {
        TraceView(trace, tokenizer: generator.model.tokenizer) { _ in
          results[0].promptIds + results[0].ids
        }.show()
      }
      messages.append(ChatMessage(role: "assistant", content: results[0].text))
    }
    if isInteractive { Output.note("") }
  }
}
