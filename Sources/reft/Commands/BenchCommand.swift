// SPDX-License-Identifier: Apache-2.0
// `reft bench`: what the engine does on this machine, against the machine's own measured peaks.

import ArgumentParser
import ReFTModel
import ReFTTensor
import ReFTTraining

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure the engine against this machine's peaks.",
    discussion: """
      The peaks are measured first: the matrix kernel on operands in cache, and reading memory, both \
      with all threads. Operations are counted from the model's shape. Run it on an idle machine.

      EXAMPLES
        reft bench train --model smollm2-135m-instruct
        reft bench prefill --model smollm2-135m-instruct --tokens 512
        reft bench decode --model smollm2-135m-instruct --sequences 8 --json
      """,
    subcommands: [Train.self, Prefill.self, Decode.self]
  )

  /// What every measurement reports.
  private struct Document: Encodable {
    var work: String
    var model: String
    var processor: String
    var threads: Int
    var tokens: Int
    var seconds: Double
    var tokens_per_second: Double
    var flops: Double
    var peak_flops: Double
    var fraction_of_peak_flops: Double
    var bytes_per_second: Double?
    var peak_bytes_per_second: Double
    var fraction_of_peak_bytes: Double?
    var peak_rss_bytes: Int
    var plugin_share: [String: Double]?
  }

  private static func report(
    _ work: String,
    _ model: FrozenModel,
    _ peaks: Machine.Peaks,
    tokens: Int,
    seconds: Double,
    flops: Double,
    bytes: Double? = nil,
    share: [String: Double]? = nil,
    json: Bool
  ) throws {
    let document = Document(
      work: work,
      model: model.configuration.name,
      processor: Machine.processorName,
      threads: ThreadPool.shared.threadCount,
      tokens: tokens,
      seconds: seconds,
      tokens_per_second: Double(tokens) / seconds,
      flops: flops,
      peak_flops: peaks.flops,
      fraction_of_peak_flops: flops / peaks.flops,
      bytes_per_second: bytes,
      peak_bytes_per_second: peaks.bytesPerSecond,
      fraction_of_peak_bytes: bytes.map { $0 / peaks.bytesPerSecond },
      peak_rss_bytes: Machine.peakResidentByteCount,
      plugin_share: share
    )
    if json { return try Output.json(document) }
    func percent(_ value: Double) -> String { Readable.fixed(100 * value, 1) + " %" }
    func giga(_ value: Double) -> String { Readable.fixed(value / 1e9, 1) }
    var rows = [
      [work, "\(Readable.fixed(document.tokens_per_second, 1)) tokens/s", "\(tokens) tokens"],
      [
        "arithmetic", "\(giga(flops)) GFLOP/s",
        "\(percent(document.fraction_of_peak_flops)) of \(giga(peaks.flops)) measured",
      ],
    ]
    if let bytes {
      rows.append([
        "weights read", "\(giga(bytes)) GB/s",
        "\(percent(bytes / peaks.bytesPerSecond)) of \(giga(peaks.bytesPerSecond)) measured",
      ])
    }
    for (name, part) in (share ?? [:]).sorted(by: { $0.key < $1.key }) {
      rows.append(["in plugin \(name)", percent(part), "of the time"])
    }
    rows.append(["peak memory", Readable.bytes(document.peak_rss_bytes), ""])
    Output.table(rows)
  }

  struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Measure forward and backward passes with an edit through a plugin."
    )

    @OptionGroup var model: ModelOptions
    @OptionGroup var plugins: PluginOptions
    @OptionGroup var common: CommonOptions
    @Option(help: "Sequences of a step.") var sequences = 8
    @Option(help: "Tokens of a sequence; the first half is the prompt.") var tokens = 192
    @Option(help: "Edited layers such as 20,24,28; without it, all.") var layers: String?
    @Option(help: "The plugin that edits.") var plugin = "loreft"
    @Option(help: "Its rank.") var rank = 4
    @Option(help: "How many steps are measured.") var steps = 5

    func validate() throws {
      if sequences < 1 || tokens < 2 || steps < 1 {
        throw ValidationError("--sequences and --steps must be 1 or more, --tokens 2 or more")
      }
      if let layers, layers.split(separator: ",").contains(where: { Int($0) == nil }) {
        throw ValidationError("--layers '\(layers)' must be numbers such as 20,24,28")
      }
    }

    func run() throws {
      let frozen = try FrozenModel(path: model.path())
      let peaks = Machine.measurePeaks()
      var options = TrainingBenchmark.Options()
      options.sequences = sequences
      options.tokens = tokens
      options.layers = layers.map { $0.split(separator: ",").compactMap { Int($0) } }
      options.plugin = plugin
      options.rank = rank
      options.steps = steps
      let result = try TrainingBenchmark(model: frozen, catalog: plugins.catalog()).run(options)
      try report(
        "train",
        frozen,
        peaks,
        tokens: result.tokens,
        seconds: result.seconds,
        flops: result.flops,
        share: result.pluginShare,
        json: common.json
      )
    }
  }

  struct Prefill: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Measure how fast a prompt is read."
    )

    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions
    @Option(help: "Tokens of the prompt.") var tokens = 512

    func validate() throws {
      if tokens < 1 { throw ValidationError("--tokens must be 1 or more") }
    }

    func run() throws {
      let frozen = try FrozenModel(path: model.path())
      let peaks = Machine.measurePeaks()
      let result = try InferenceBenchmark(model: frozen).prefill(tokens: tokens)
      try report(
        "prefill",
        frozen,
        peaks,
        tokens: result.tokens,
        seconds: result.seconds,
        flops: result.flops,
        json: common.json
      )
    }
  }

  struct Decode: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Measure how fast tokens are made after a prompt."
    )

    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions
    @Option(help: "Tokens of the prompt before.") var after = 512
    @Option(help: "Tokens to make.") var tokens = 64
    @Option(help: "Sequences at once.") var sequences = 1

    func validate() throws {
      if after < 1 || tokens < 1 || sequences < 1 {
        throw ValidationError("--after, --tokens and --sequences must be 1 or more")
      }
    }

    func run() throws {
      let frozen = try FrozenModel(path: model.path())
      let peaks = Machine.measurePeaks()
      let result = try InferenceBenchmark(model: frozen).decode(
        after: after,
        tokens: tokens,
        sequences: sequences
      )
      try report(
        "decode",
        frozen,
        peaks,
        tokens: result.tokens,
        seconds: result.seconds,
        flops: result.flops,
        bytes: result.bytesPerSecond,
        json: common.json
      )
    }
  }
}
