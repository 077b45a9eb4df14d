// SPDX-License-Identifier: Apache-2.0
// `reft embed`: texts as vectors.

import ArgumentParser
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText
import ReFTTraining

struct EmbedCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "embed",
    abstract: "Vectors of texts: mean-pooled final hidden states of length 1.",
    discussion: """
      Rows are {"text"}, {"text","text_pair"} or {"ids"}; labels are not looked at. The dot product of \
      two vectors is their cosine. Without --output the vectors are printed, a line for each row.

      EXAMPLES
        reft embed --model all-minilm-l6-v2 --data texts.jsonl --json
        reft embed --model M --adapter A --data texts.jsonl --output vectors.safetensors
      """
  )

  @OptionGroup var model: ModelOptions
  @OptionGroup var adapterOptions: AdapterOptions
  @OptionGroup var device: DeviceOptions
  @OptionGroup var plugins: PluginOptions
  @OptionGroup var common: CommonOptions

  @OptionGroup var tracing: TraceOptions
  @OptionGroup var source: TextOptions

  @Option(
    help: ArgumentHelp(
      "Write the vectors as the tensor 'embeddings' of a file.",
      valueName: "out.safetensors"
    )
  )
  var output: String?

  @OptionGroup var pass: TextPassOptions

  private struct Document: Encodable {
    var rows: Int
    var width: Int
    var embeddings: [[Float]]?
    var output: String?
    var trace: [TraceView.Entry]?
  }

  func validate() throws {
    if let length = pass.maxLength, length < 2 {
      throw ValidationError("--max-length must be 2 or more")
    }
  }

  /// The metadata that marks a file of vectors.
  private static let mark = (key: "reft", value: "embeddings")

  func run() throws {
    if let output {
      try ResultFile(option: "--output", path: output).check(
        inputs: [try model.path(), source.data],
        kind: "file of vectors"
      ) { (try? Safetensors.read(path: $0))?.metadata[Self.mark.key] == Self.mark.value }
    }
    try tracing.check(inputs: [try model.path(), source.data], adapters: adapterOptions)
    let loaded = try LoadedModel(path: model.path())
    let adapters = try adapterOptions.load(for: loaded, catalog: try plugins.catalog())
    let texts = try pass.read(source, for: loaded)
    for warning in texts.warnings { Output.note("warning: \(warning)") }
    let embedder = Embedder(
      model: loaded,
      adapters: adapters,
      microBatchTokens: pass.microBatchTokens,
      device: try device.open()
    )
    let line = ProgressLine()
    let clock = RateClock(total: texts.examples.count)
    defer { line.clear() }
    let trace = tracing.collector(adapters)
    let vectors = try embedder.embed(texts, trace: trace) { done in
      line.show(clock.fields(done: done, unit: "rows"))
    }
    line.clear()
    let view = trace.map { trace in
      TraceView(trace, tokenizer: loaded.tokenizer) { texts.examples[$0].ids }
    }
    try tracing.show(view, json: common.json)
    try write(vectors, width: embedder.width, view)
  }

  private func write(_ vectors: [[Float]], width: Int, _ view: TraceView?) throws {
    if let output {
      let tensor = NamedTensor(
        name: "embeddings",
        shape: [vectors.count, width],
        values: vectors.flatMap(\.self)
      )
      let metadata = ["format": "pt", Self.mark.key: Self.mark.value]
      try Safetensors.write([tensor], metadata: metadata, to: output)
    }
    if common.json {
      return try Output.json(
        Document(
          rows: vectors.count,
          width: width,
          embeddings: output == nil ? vectors : nil,
          output: output,
          trace: view?.entries
        )
      )
    }
    if let output {
      return Output.table([
        ["vectors", "\(Readable.count(vectors.count)) of \(width) numbers"], ["file", output],
      ])
    }
    for vector in vectors { Output.line(vector.map { "\($0)" }.joined(separator: " ")) }
  }
}
