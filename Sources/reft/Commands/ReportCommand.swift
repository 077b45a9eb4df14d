// SPDX-License-Identifier: Apache-2.0
// `reft report`: one page over runs.

import ArgumentParser
import Foundation
import ReFTTensor
import ReFTTraining

struct ReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Write one page that compares runs.",
    discussion: """
      A run is a folder that reft train wrote, finished or not; the folder of a sweep stands for all \
      of its runs. The page is one HTML file without scripts or links: curves together, measures with \
      intervals, the configuration where it differs, data, time and memory.

      --prompts N adds replies to the first N validation rows of the first run (of its training rows \
      where it has none), from the model alone and with each adapter; --prompts FILE to those of a \
      file as reft generate --input reads it.

      EXAMPLES
        reft report runs/demo
        reft report runs/first runs/second --output compare.html
        reft report runs/demo --prompts 5
        reft report sweeps/rank --json
      """
  )

  @Argument(help: ArgumentHelp("Run folders, or folders of sweeps.", valueName: "run"))
  var folders: [String]
  @Option(
    help: ArgumentHelp(
      "The page: report.html in the one folder, or here for several.",
      valueName: "f.html"
    )
  )
  var output: String?
  @Option(
    help: ArgumentHelp("Add replies to these prompts: a file, or a number.", valueName: "file|n")
  )
  var prompts: String?
  @Option(name: .customLong("max-tokens"), help: "The most tokens of a reply.")
  var maxTokens = 64
  @OptionGroup var device: DeviceOptions
  @OptionGroup var plugins: PluginOptions
  @OptionGroup var common: CommonOptions

  private struct Document: Encodable {
    var output: String
    var runs: [String]
    var replies: Int
  }

  func validate() throws {
    if folders.isEmpty { throw ValidationError("name a run folder, such as runs/demo") }
    if maxTokens < 1 { throw ValidationError("--max-tokens must be 1 or more") }
    if let prompts, let count = Int(prompts), count < 1 {
      throw ValidationError("--prompts is \(count); it must be a file, or a number from 1")
    }
  }

  func run() throws {
    let collection = try RunCollection(folders: folders)
    for note in collection.notes { Output.note("note: \(note)") }
    let path = output ?? (folders.count == 1 ? folders[0] + "/report.html" : "report.html")
    try ResultFile(option: "--output", path: path).check(
      inputs: collection.runs.map { $0.folder + "/manifest.json" },
      kind: "report",
      isOurs: ReportPage.isReport
    )
    var page = ReportPage(title: title(collection), runs: collection.runs)
    page.results = collection.results
    if !collection.results.isEmpty, folders.count == 1 {
      page.sweep = SweepTable(collection.results, metric: nil)
    }
    if let prompts {
      let replies = ReportReplies(
        prompts: prompts,
        maxTokens: maxTokens,
        catalog: try plugins.catalog(),
        device: try device.open()
      )
      page.replies = try replies.replies(of: collection.runs)
    }
    try AtomicFile.write(page.html(), to: path)
    if common.json {
      return try Output.json(
        Document(output: path, runs: collection.runs.map(\.name), replies: page.replies.count)
      )
    }
    Output.line(path)
  }

  private func title(_ collection: RunCollection) -> String {
    if folders.count == 1 {
      return URL(fileURLWithPath: folders[0]).standardizedFileURL.lastPathComponent
    }
    let names = collection.runs.map(\.name)
    return names.count <= 3 ? names.joined(separator: ", ") : "\(names.count) runs"
  }
}
