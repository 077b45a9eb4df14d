// SPDX-License-Identifier: Apache-2.0
// `reft bench`: what the engine does on this machine, against the machine's own measured peaks.

import ArgumentParser
import Foundation
import ReFTBenchmark
import ReFTCUDA
import ReFTHost
import ReFTModel
import ReFTTensor

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
        reft bench decode --model smollm2-135m-instruct --batch 8 --json
        reft bench scaling --model smollm2-135m-instruct
        reft bench plugin loreft
      """,
    subcommands: [
      Train.self, Prefill.self, Decode.self, Scaling.self, Precision.self, ABI.self,
      PluginCalls.self,
    ]
  )

  /// The limits of a device, before the model is opened: reading memory is measured with more of it
  /// than many a model has, which is not to count as the work's.
  private static func peaks(of device: any ComputeDevice) throws -> Machine.Peaks {
    guard let card = device as? CUDAComputeDevice else {
      defer { Machine.forgetPeakResidentByteCount() }
      return Machine.measurePeaks()
    }
    let peaks = try card.measurePeaks()
    return Machine.Peaks(flops: peaks.flops, bytesPerSecond: peaks.bytesPerSecond)
  }

  /// What every measurement reports.
  private struct Document: Encodable {
    var work: String
    var model: String
    var processor: String
    var threads: Int
    var tokens: Int
    var seconds: Double
    var tokens_per_second: Double
    var flops_per_second: Double
    var gemm_peak_flops_per_second: Double
    var fraction_of_gemm_peak: Double
    var bytes_per_second: Double?
    var bandwidth_peak_bytes_per_second: Double
    var fraction_of_bandwidth_peak: Double?
    var peak_rss_bytes: Int
    var peak_device_bytes: Int?
    var plugin_share: [String: Double]?
    var profile: [String: Double]
  }

  private static func report(
    _ work: String,
    _ model: LoadedModel,
    _ device: any ComputeDevice,
    _ peaks: Machine.Peaks,
    tokens: Int,
    seconds: Double,
    flops: Double,
    bytes: Double? = nil,
    share: [String: Double]? = nil,
    profile: WorkProfile?,
    json: Bool
  ) throws {
    let document = Document(
      work: work,
      model: model.configuration.name,
      processor: device === ProcessorDevice.shared ? Machine.processorName : device.name,
      threads: ThreadPool.shared.threadCount,
      tokens: tokens,
      seconds: seconds,
      tokens_per_second: Double(tokens) / seconds,
      flops_per_second: flops,
      gemm_peak_flops_per_second: peaks.flops,
      fraction_of_gemm_peak: flops / peaks.flops,
      bytes_per_second: bytes,
      bandwidth_peak_bytes_per_second: peaks.bytesPerSecond,
      fraction_of_bandwidth_peak: bytes.map { $0 / peaks.bytesPerSecond },
      peak_rss_bytes: Machine.peakResidentByteCount,
      peak_device_bytes: device.peakMemory,
      plugin_share: share,
      profile: Dictionary(
        uniqueKeysWithValues: (profile?.shares ?? [:]).map { ($0.key.rawValue, $0.value) }
      )
    )
    if json { return try Output.json(document) }
    func percent(_ value: Double) -> String { Readable.fixed(100 * value, 1) + " %" }
    func giga(_ value: Double) -> String { Readable.fixed(value / 1e9, 1) }
    var rows = [
      [work, "\(Readable.fixed(document.tokens_per_second, 1)) tokens/s", "\(tokens) tokens"],
      [
        "arithmetic", "\(giga(flops)) GFLOP/s",
        "\(percent(document.fraction_of_gemm_peak)) of \(giga(peaks.flops)) measured",
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
    for (kind, part) in (profile?.shares ?? [:]).sorted(by: { $0.value > $1.value }) {
      rows.append(["  \(kind)", percent(part), "of the time"])
    }
    rows.append(["peak memory", Readable.bytes(document.peak_rss_bytes), ""])
    if let bytes = device.peakMemory {
      rows.append(["peak memory of the card", Readable.bytes(bytes), ""])
    }
    Output.table(rows)
  }

  struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Measure forward and backward passes with an edit through a plugin."
    )

    @OptionGroup var model: ModelOptions
    @OptionGroup var device: DeviceOptions
    @Flag(help: "Compute in float32, without shortcuts of matrix units.") var exact = false
    @Flag(
      name: .customLong("host-edits"),
      help: "On a card: let the plugin's own functions edit, also where it has kernels."
    )
    var hostEdits = false
    @OptionGroup var plugins: PluginOptions
    @OptionGroup var common: CommonOptions
    @Option(name: [.customLong("batch"), .customLong("sequences")], help: "Sequences of a step.")
    var batch = 8
    @Option(
      name: [.customLong("sequence-length"), .customLong("tokens")],
      help: "Tokens of a sequence; the first half is the prompt."
    )
    var sequenceLength = 256
    @Option(help: "Edited layers: all, or numbers such as 20;24;28.") var layers = "all"
    @Option(help: "Edited tokens, as in a configuration.") var positions = "f7+l7"
    @Option(help: "The plugin that edits.") var plugin = "loreft"
    @Option(help: "Its rank.") var rank = 4
    @Option(help: "How many steps are measured.") var steps = 3

    private var layerNumbers: [Int]? {
      layers == "all" ? nil : layers.split { ";,".contains($0) }.map { Int($0) ?? -1 }
    }

    func validate() throws {
      guard (1...65_536).contains(batch), (1...1_000_000).contains(steps),
        (2...1 << 20).contains(sequenceLength), (1...1 << 20).contains(rank)
      else {
        throw ValidationError(
          "--batch must be from 1 to 65536, --steps from 1 to 1000000, --sequence-length from 2 and "
            + "--rank from 1 to 1048576"
        )
      }
      if let layerNumbers, layerNumbers.isEmpty || layerNumbers.contains(where: { $0 < 0 }) {
        throw ValidationError("--layers '\(layers)' must be 'all' or numbers such as 20;24;28")
      }
    }

    func run() throws {
      var options = TrainingBenchmark.Options()
      options.sequences = batch
      options.tokens = sequenceLength
      options.layers = layerNumbers
      options.positions = try PositionRule(positions)
      options.plugin = plugin
      options.rank = rank
      options.steps = steps
      let device = try device.open()
      (options.device, options.precision) = (device, exact ? .float32 : .int16)
      options.editsOnHost = hostEdits
      let peaks = try BenchCommand.peaks(of: device)
      let loaded = try LoadedModel(path: model.path())
      let result = try TrainingBenchmark(model: loaded, catalog: try plugins.catalog()).run(options)
      try report(
        "train",
        loaded,
        device,
        peaks,
        tokens: result.tokens,
        seconds: result.seconds,
        flops: result.flops,
        share: result.pluginShare,
        profile: result.profile,
        json: common.json
      )
    }
  }

  struct Prefill: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Measure how fast a prompt is read."
    )

    @OptionGroup var model: ModelOptions
    @OptionGroup var device: DeviceOptions
    @OptionGroup var common: CommonOptions
    @Option(help: "Tokens of the prompt.") var tokens = 512
    @Option(help: "How many runs are measured; the median counts.") var `repeat` = 5
    @OptionGroup var precision: PrecisionOptions

    func validate() throws {
      guard (1...1 << 20).contains(tokens), (1...10_000).contains(`repeat`) else {
        throw ValidationError("--tokens must be from 1 to 1048576, --repeat from 1 to 10000")
      }
    }

    func run() throws {
      let device = try device.open()
      let peaks = try BenchCommand.peaks(of: device)
      let loaded = try LoadedModel(path: model.path())
      let result = try InferenceBenchmark(
        model: loaded.frozen,
        precision: precision.value,
        device: device
      ).prefill(tokens: tokens, runs: `repeat`)
      try report(
        "prefill",
        loaded,
        device,
        peaks,
        tokens: result.tokens,
        seconds: result.seconds,
        flops: result.flops,
        profile: result.profile,
        json: common.json
      )
    }
  }

  struct Decode: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Measure how fast tokens are made after a prompt."
    )

    @OptionGroup var model: ModelOptions
    @OptionGroup var device: DeviceOptions
    @OptionGroup var common: CommonOptions
    @Option(
      name: [.customLong("context"), .customLong("after")],
      help: "Tokens of the prompt before."
    )
    var context = 512
    @Option(help: "Tokens to make.") var tokens = 128
    @Option(name: [.customLong("batch"), .customLong("sequences")], help: "Sequences at once.")
    var batch = 1
    @Option(help: "How many runs are measured; the median counts.") var `repeat` = 3
    @OptionGroup var precision: PrecisionOptions
    @Flag(help: "On a card: read weights as bfloat16, also where the file's blocks are smaller.")
    var dense = false

    func validate() throws {
      guard (1...1 << 20).contains(context), (1...1 << 20).contains(tokens),
        (1...65_536).contains(batch), (1...10_000).contains(`repeat`)
      else {
        throw ValidationError(
          "--context and --tokens must be from 1 to 1048576, --batch from 1 to 65536, --repeat from 1 "
            + "to 10000"
        )
      }
    }

    func run() throws {
      let device = try device.open(expandsWeights: dense)
      let peaks = try BenchCommand.peaks(of: device)
      let loaded = try LoadedModel(path: model.path())
      let result = try InferenceBenchmark(
        model: loaded.frozen,
        precision: precision.value,
        device: device
      ).decode(
        after: context,
        tokens: tokens,
        sequences: batch,
        runs: `repeat`
      )
      try report(
        "decode",
        loaded,
        device,
        peaks,
        tokens: result.tokens,
        seconds: result.seconds,
        flops: result.flops,
        bytes: result.bytesPerSecond,
        profile: result.profile,
        json: common.json
      )
    }
  }
}
