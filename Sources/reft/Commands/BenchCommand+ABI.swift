// SPDX-License-Identifier: Apache-2.0
// `reft bench abi`: what going through the plugin ABI costs, against the edit compiled in.

import ArgumentParser
import ReFTBenchmark
import ReFTHost
import ReFTModel
import ReFTTensor

extension BenchCommand {
  struct ABI: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Measure what the way through the plugin ABI costs.",
      discussion: """
        LoReFT of rank 4 at the output of every block, through its plugin and compiled in, in turns: \
        in decoding at every token, in training at the first and last 7 tokens of 8 prompts.

        EXAMPLES
          reft bench abi --model smollm2-135m-instruct
          reft bench abi --model M --turns 40 --json
        """
    )

    @OptionGroup var model: ModelOptions
    @OptionGroup var plugins: PluginOptions
    @OptionGroup var common: CommonOptions
    @Option(help: "Turns of 64 decoded tokens after 512, each way.") var turns = 20
    @Option(help: "Training steps, each way.") var steps = 5

    private struct Document: Encodable {
      var decode_seconds: Double
      var decode_inline_seconds: Double
      var decode_cost: Double
      var train_seconds: Double
      var train_inline_seconds: Double
      var train_cost: Double
    }

    func validate() throws {
      guard (1...1_000_000).contains(turns), (1...1_000_000).contains(steps) else {
        throw ValidationError("--turns and --steps must be from 1 to 1000000")
      }
    }

    func run() throws {
      let loaded = try LoadedModel(path: model.path())
      let catalog = try plugins.catalog()
      let decode = try compareDecoding(loaded, catalog)
      var options = TrainingBenchmark.Options()
      options.steps = steps
      let train = try TrainingBenchmark(model: loaded, catalog: catalog).compareWithInline(options)
      let document = Document(
        decode_seconds: decode.plugin,
        decode_inline_seconds: decode.inline,
        decode_cost: decode.plugin / decode.inline - 1,
        train_seconds: train.plugin,
        train_inline_seconds: train.inline,
        train_cost: train.plugin / train.inline - 1
      )
      if common.json { return try Output.json(document) }
      func cells(_ work: String, _ plugin: Double, _ inline: Double) -> [String] {
        [
          work, Readable.fixed(1000 * plugin, 3) + " ms", Readable.fixed(1000 * inline, 3) + " ms",
          Readable.fixed(100 * (plugin / inline - 1), 2) + " %",
        ]
      }
      Output.table([
        ["", "plugin", "compiled in", "cost"], cells("decode step", decode.plugin, decode.inline),
        cells("training step", train.plugin, train.inline),
      ])
    }

    private func compareDecoding(
      _ loaded: LoadedModel,
      _ catalog: PluginCatalog
    ) throws -> (plugin: Double, inline: Double) {
      let blocks = Array(0..<loaded.configuration.layers)
      let spec = InterventionSpec(
        plugin: "loreft",
        layers: blocks,
        positions: try PositionRule("l1+decode"),
        options: ["rank": .int(4)]
      )
      let adapter = try Adapter.create(specs: [spec], model: loaded, catalog: catalog, seed: 1)
      let inline = InlineLoReFT(
        model: loaded.frozen,
        blocks: blocks,
        rank: 4,
        tokens: [0],
        isTraining: false
      )
      let context = 512
      var session: EditSession?
      let medians = try InferenceBenchmark(model: loaded.frozen).compareDecoding(
        after: context,
        tokens: 64,
        runs: turns,
        editors: [
          { position in
            // As in generation: a new session for the first token after the prompt.
            if let session, position > context {
              session.advance()
              return session
            }
            let edit = SequenceEdit(
              adapter: adapter,
              start: 0,
              count: 1,
              promptLength: context,
              position: position
            )
            let fresh = try EditSession([edit])
            session = fresh
            return fresh
          }, { _ in inline },
        ]
      )
      return (medians[0], medians[1])
    }
  }
}
