// SPDX-License-Identifier: Apache-2.0
// `reft bench precision`: what rounding activations changes.

import ArgumentParser
import Foundation
import ReFTBenchmark
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText

extension BenchCommand {
  struct Precision: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Measure what rounded activations change in the predictions.",
      discussion: """
        Reads a text token by token with each precision, or piece by piece as prompts are read, and \
        compares the predictions with those of float32 activations: the mean and the largest divergence \
        in nats, how often the likeliest token is the same, and what the text's loss becomes. The same \
        of keys and values that are cached in eight bits.

        EXAMPLES
          reft bench precision --model smollm2-135m-instruct --text book.txt
          reft bench precision --model M --text book.txt --tokens 4096 --piece 32
          reft bench precision --model M --text book.txt --tokens 1024 --json
        """
    )

    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions
    @Option(help: ArgumentHelp("A file of plain text.", valueName: "file"))
    var text: String
    @Option(help: "How many of its tokens are read.")
    var tokens = 256
    @Option(help: "Tokens read at once: 1 as generated ones are, more as a prompt is.")
    var piece = 1

    private struct Row: Encodable {
      var activations: String
      var kv_cache: String
      var mean_kl: Double
      var largest_kl: Double
      var same_choice: Double
      var loss: Double
      var float32_loss: Double
    }
    private struct Document: Encodable {
      var tokens: Int
      var piece: Int
      var rows: [Row]
    }

    func validate() throws {
      guard (2...1 << 20).contains(tokens) else {
        throw ValidationError("--tokens must be from 2 to 1048576, found \(tokens)")
      }
      guard (1...1 << 20).contains(piece) else {
        throw ValidationError("--piece must be from 1 to 1048576, found \(piece)")
      }
    }

    func run() throws {
      let loaded = try LoadedModel(path: model.path())
      // A token is rarely longer than 16 bytes: enough of the file, whatever its size.
      let bytes = try FileStream(path: text).bytes(atMost: 16 * tokens)
      let ids = Array(loaded.tokenizer.encode(bytes: bytes).prefix(tokens))
      let results = try PrecisionBenchmark(model: loaded.frozen).run(ids, piece: piece)
      if common.json {
        let rows = results.map {
          Row(
            activations: $0.precision.activations.rawValue,
            kv_cache: $0.precision.cache.rawValue,
            mean_kl: $0.meanDivergence,
            largest_kl: $0.largestDivergence,
            same_choice: $0.sameChoice,
            loss: $0.loss,
            float32_loss: $0.exactLoss
          )
        }
        return try Output.json(Document(tokens: ids.count, piece: piece, rows: rows))
      }
      Output.table(
        [
          [
            "activations", "keys, values", "mean KL", "largest KL", "same choice", "loss",
            "float32's",
          ]
        ]
          + results.map {
            [
              $0.precision.activations.rawValue, $0.precision.cache.rawValue,
              String(format: "%.2e", $0.meanDivergence),
              String(format: "%.2e", $0.largestDivergence),
              Readable.fixed(100 * $0.sameChoice, 1) + " %", Readable.fixed($0.loss, 5),
              Readable.fixed($0.exactLoss, 5),
            ]
          }
      )
    }
  }
}
