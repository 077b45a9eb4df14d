// SPDX-License-Identifier: Apache-2.0
// `reft collect`: what plugins tell of a model's rows, as a file.

import ArgumentParser
import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText
import ReFTTraining

struct CollectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "collect",
    abstract: "Write what plugins tell of hidden rows: rows themselves, projections, read-outs.",
    discussion: """
      Rows are {"text"}, {"text","text_pair"} or {"ids"}. With --plugin, that plugin works at --layers \
      and --positions, on rows as adapters leave them; an adapter's own interventions tell what they know. Of each \
      intervention and layer the file holds a tensor [rows, numbers], and beside it NAME.example and \
      NAME.position: the row of the data and the token of each row.

      EXAMPLES
        reft collect --model M --plugin collect --layers 8,12 --positions l1 --data texts.jsonl \
      --output rows.safetensors
        reft collect --model M --plugin collect --layers all --option directions=d.safetensors#d \
      --positions all --data texts.jsonl --output products.safetensors --json
        reft collect --model M --adapter A --data texts.jsonl --output told.safetensors
      """
  )

  @OptionGroup var model: ModelOptions
  @OptionGroup var adapterOptions: AdapterOptions
  @OptionGroup var intervention: InterventionArguments
  @OptionGroup var device: DeviceOptions
  @OptionGroup var plugins: PluginOptions
  @OptionGroup var common: CommonOptions

  @OptionGroup var source: TextOptions

  @Option(help: ArgumentHelp("The file to write.", valueName: "out.safetensors"))
  var output: String

  @Option(help: "Take so many rows of the data; without it, all.")
  var limit: Int?

  @OptionGroup var pass: TextPassOptions

  private struct Tensor: Encodable {
    var name: String
    var shape: [Int]
  }
  private struct Document: Encodable {
    var rows: Int
    var tensors: [Tensor]
    var output: String
  }

  func validate() throws {
    if let length = pass.maxLength, length < 1 {
      throw ValidationError("--max-length must be 1 or more")
    }
    if let limit, limit < 1 { throw ValidationError("--limit must be 1 or more") }
    guard !adapterOptions.adapter.isEmpty || intervention.plugin != nil else {
      throw ValidationError("give --plugin or --adapter, or both")
    }
  }

  /// The metadata that marks a file of rows.
  private static let mark = (key: "reft", value: "collected")

  func run() throws {
    try ResultFile(option: "--output", path: output).check(
      inputs: [try model.path(), source.data],
      kind: "file of collected rows"
    ) { (try? Safetensors.read(path: $0))?.metadata[Self.mark.key] == Self.mark.value }
    let loaded = try LoadedModel(path: model.path())
    let catalog = try plugins.catalog()
    var adapters = try adapterOptions.load(for: loaded, catalog: catalog)
    if intervention.plugin != nil {
      let told = try intervention.adapter(for: loaded, catalog: catalog)
      // It is told of rows as the adapters leave them.
      adapters = AdapterStack(
        adapters.parts + AdapterStack(told).parts,
        rule: .sequential
      )
    }
    let texts = try pass.read(source, for: loaded, limit: limit)
    for warning in texts.warnings { Output.note("warning: \(warning)") }
    let collection = RowCollection(
      model: loaded,
      adapters: adapters,
      microBatchTokens: pass.microBatchTokens,
      device: try device.open()
    )
    for note in try collection.check(texts, tokenizer: loaded.tokenizer) {
      Output.note("warning: \(note)")
    }
    let line = ProgressLine()
    let clock = RateClock(total: texts.examples.count)
    defer { line.clear() }
    let parts = try collection.collect(texts) { done in
      line.show(clock.fields(done: done, unit: "rows"))
    }
    line.clear()
    guard !parts.isEmpty else {
      throw ReFTError.nothingCollected(
        adapters.parts.flatMap { $0.adapter.specs.map(\.plugin) }
      )
    }
    try write(parts, texts: texts.examples.count)
  }

  private func write(_ parts: [RowCollector.Part], texts: Int) throws {
    let values = parts.map {
      NamedTensor(name: $0.name, shape: [$0.keys.count, $0.width], values: $0.values)
    }
    let places = parts.flatMap { part in
      [
        RawTensor(name: part.name + ".example", part.keys.map { Int32(truncatingIfNeeded: $0) }),
        RawTensor(name: part.name + ".position", part.positions),
      ]
    }
    let metadata = ["format": "pt", Self.mark.key: Self.mark.value]
    try Safetensors.write(values, raw: places, metadata: metadata, to: output)
    let tensors = values.map { Tensor(name: $0.name, shape: $0.shape) }
    if common.json {
      return try Output.json(Document(rows: texts, tensors: tensors, output: output))
    }
    Output.table(
      tensors.map { ["  " + $0.name, $0.shape.map(String.init).joined(separator: " × ")] }
    )
    Output.line("\(Readable.count(texts)) rows of the data, \(tensors.count) tensors in \(output)")
  }
}

extension ReFTError {
  fileprivate static func nothingCollected(_ plugins: [String]) -> ReFTError {
    ReFTError(
      .usage,
      "plugin \(plugins.map { "'\($0)'" }.joined(separator: ", ")) tells nothing of rows (no "
        + "collected_per_row); use --plugin collect"
    )
  }
}
