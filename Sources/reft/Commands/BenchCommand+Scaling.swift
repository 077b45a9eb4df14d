// SPDX-License-Identifier: Apache-2.0
// `reft bench scaling`: what more threads are worth on this machine.

import ArgumentParser
import Foundation
import ReFTBenchmark
import ReFTHost
import ReFTModel
import ReFTTensor

extension BenchCommand {
  struct Scaling: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Measure training and generation with 1, 2, 4 … threads.",
      discussion: """
        One row for each number of threads: the rates in tokens per second, and what so many threads \
        can do at most, arithmetic of the float32 kernel and reading of memory. Run it on an idle \
        machine.

        EXAMPLES
          reft bench scaling --model smollm2-135m-instruct
          reft bench scaling --model M --threads 1,2,4,8,16 --json
        """
    )

    @OptionGroup var model: ModelOptions
    @OptionGroup var plugins: PluginOptions
    @OptionGroup var common: CommonOptions
    @Option(
      help: ArgumentHelp(
        "Numbers of threads, such as 1,2,4; without it, powers of two up to the processors.",
        valueName: "list"
      )
    )
    var threads: String?
    @Option(help: "Tokens of the prompt, and before the decoded ones.") var context = 512
    @Option(help: "Tokens to make.") var tokens = 64
    @Option(help: "Sequences at once, of a training step and of decoding.") var batch = 8
    @Option(help: "Tokens of a sequence of the training step.") var sequenceLength = 256
    @Option(help: "How many runs are measured; the median counts.") var `repeat` = 3

    private struct Row: Encodable {
      var threads: Int
      var train_tokens_per_second: Double
      var train_flops_per_second: Double
      var prefill_tokens_per_second: Double
      var prefill_flops_per_second: Double
      var decode_tokens_per_second: Double
      var decode_bytes_per_second: Double
      var batch_tokens_per_second: Double
      var gemm_peak_flops_per_second: Double
      var bandwidth_peak_bytes_per_second: Double
    }
    private struct Document: Encodable {
      var model: String
      var processor: String
      var kernels: String
      var context: Int
      var batch: Int
      var rows: [Row]
    }

    private var threadCounts: [Int] {
      let processors = ProcessInfo.processInfo.activeProcessorCount
      guard let threads else { return ScalingBenchmark.threadCounts(processors: processors) }
      return threads.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) ?? -1 }
    }

    func validate() throws {
      guard threadCounts.allSatisfy((1...256).contains) else {
        throw ValidationError(
          "--threads '\(threads ?? "")' must be numbers from 1 to 256 such as 1,2,4"
        )
      }
      guard (1...1 << 20).contains(context), (1...1 << 20).contains(tokens),
        (1...65_536).contains(batch), (2...1 << 20).contains(sequenceLength),
        (1...10_000).contains(`repeat`)
      else {
        throw ValidationError(
          "--context and --tokens must be from 1 to 1048576, --batch from 1 to 65536, "
            + "--sequence-length from 2 to 1048576, --repeat from 1 to 10000"
        )
      }
    }

    func run() throws {
      let loaded = try LoadedModel(path: model.path())
      let benchmark = ScalingBenchmark(model: loaded, catalog: try plugins.catalog())
      var options = ScalingBenchmark.Options()
      (options.promptTokens, options.tokens) = (context, tokens)
      (options.sequences, options.training.sequences) = (batch, batch)
      (options.training.tokens, options.runs) = (sequenceLength, `repeat`)
      let rows = try threadCounts.map { try benchmark.run(threads: $0, options) }
      guard common.json else { return table(rows) }
      try Output.json(
        Document(
          model: loaded.configuration.name,
          processor: Machine.processorName,
          kernels: Machine.kernels,
          context: context,
          batch: batch,
          rows: rows.map(document)
        )
      )
    }

    private func document(_ row: ScalingBenchmark.Row) -> Row {
      Row(
        threads: row.threads,
        train_tokens_per_second: row.training.tokensPerSecond,
        train_flops_per_second: row.training.flops,
        prefill_tokens_per_second: row.prefill.tokensPerSecond,
        prefill_flops_per_second: row.prefill.flops,
        decode_tokens_per_second: row.decode.tokensPerSecond,
        decode_bytes_per_second: row.decode.bytesPerSecond,
        batch_tokens_per_second: row.batchTokensPerSecond,
        gemm_peak_flops_per_second: row.peaks.flops,
        bandwidth_peak_bytes_per_second: row.peaks.bytesPerSecond
      )
    }

    private func table(_ rows: [ScalingBenchmark.Row]) {
      let heads = [
        "threads", "train", "prefill \(context)", "decode after \(context)",
        "\(batch) at once", "GFLOP/s train", "float32 peak", "GB/s decode", "memory",
      ]
      func whole(_ value: Double) -> String { Readable.fixed(value, 0) }
      Output.table(
        [heads]
          + rows.map { row in
            [
              String(row.threads), whole(row.training.tokensPerSecond),
              whole(row.prefill.tokensPerSecond), whole(row.decode.tokensPerSecond),
              whole(row.batchTokensPerSecond), whole(row.training.flops / 1e9),
              whole(row.peaks.flops / 1e9), whole(row.decode.bytesPerSecond / 1e9),
              whole(row.peaks.bytesPerSecond / 1e9),
            ]
          }
      )
    }
  }
}
