// SPDX-License-Identifier: Apache-2.0
// `reft model quantize`: a GGUF file from a folder, and what it costs in perplexity.

public import ArgumentParser
import Foundation
import ReFTHost
import ReFTModel
public import ReFTTensor
import ReFTText
import ReFTTraining

extension TensorType: ExpressibleByArgument {
  /// The format of a name such as q4_1, in any case.
  public init?(argument: String) {
    let name = argument.lowercased()
    guard let type = Self.allCases.first(where: { $0.description.lowercased() == name }) else {
      return nil
    }
    self = type
  }

  /// What help and completion offer: the formats that can be written.
  public static var allValueStrings: [String] { ModelConversion.types.map { "\($0)" } }
}

extension ModelCommand {
  struct Quantize: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write a GGUF file from a Hugging Face folder or an unquantised GGUF file.",
      discussion: """
        Matrices take the format of --type; the embeddings and the head take Q8_0 beside a quantised \
        one, norms and biases stay in F32. The perplexity of both models is measured on the rows of \
        --data, without it on a short text that comes with reft.

        EXAMPLES
          reft model quantize ./SmolLM2-135M --type Q8_0 --output smollm2.Q8_0.gguf
          reft model quantize model.F16.gguf --type q4_k --output m.gguf --data dev.jsonl
          reft model quantize ./folder --type bf16 --output m.gguf --no-score --json
        """
    )

    @Argument(help: "A Hugging Face folder, or a GGUF file in F32, F16 or BF16.")
    var model: String
    @Option(help: "The number format of the matrices.") var type: TensorType
    @Option(help: ArgumentHelp("The file to write.", valueName: "file.gguf")) var output: String
    @Option(help: "Rows to measure perplexity on, as reft score reads them.") var data: String?
    @Flag(name: .customLong("no-score"), help: "Measure no perplexity.") var noScore = false
    @OptionGroup var common: CommonOptions

    private struct Document: Encodable {
      var path: String
      var type: String
      var bytes: Int
      var perplexity_before: Double?
      var perplexity_after: Double?
      var tokens: Int?
    }

    func validate() throws {
      guard type.canEncode else {
        let known = ModelConversion.types.map { "\($0)" }.joined(separator: ", ")
        throw ValidationError(
          "--type is \(type), which is read but not written; use one of \(known)"
        )
      }
      if noScore, data != nil { throw ValidationError("give --data or --no-score, not both") }
    }

    func run() throws {
      let path = try ModelLibrary().resolve(model)
      let source = try ModelFiles.open(path)
      guard !PluginPlaces.isSame(path, output) else {
        throw ValidationError("--output is the model itself; write to another file")
      }
      try ResultFile(option: "--output", path: output)
        .checkIsFree(inputs: [path] + [data].compactMap(\.self))
      try write(source)
      let scores = try noScore ? nil : scores(of: [path, output])
      if common.json {
        return try Output.json(
          Document(
            path: output,
            type: "\(type)",
            bytes: size(of: output),
            perplexity_before: scores?[0].perplexity,
            perplexity_after: scores?[1].perplexity,
            tokens: scores?[0].tokens
          )
        )
      }
      Output.line("\(output)  (\(Readable.bytes(size(of: output))), \(type))")
      if let scores { tell(scores) }
    }

    /// Writes the file and says which matrices took another format.
    private func write(_ source: any TensorSource) throws {
      let conversion = try ModelConversion(
        source,
        as: type,
        text: try ModelText.outputValues(of: source)
      )
      for note in conversion.notes { Output.note("note: \(note)") }
      for (other, count) in conversion.replacements(of: type) {
        Output.note(
          "warning: \(count) matrices are written as \(other): their rows are no multiple of the "
            + "\(type.blockSize) numbers of a block of \(type)"
        )
      }
      let line = ProgressLine()
      defer { line.clear() }
      let clock = RateClock(total: max(1, conversion.byteCount >> 20))
      try conversion.write(to: output) { done, _ in
        line.show(clock.fields(done: done >> 20, unit: "MB"))
      }
    }

    private func tell(_ scores: [Score]) {
      let (before, after) = (scores[0].perplexity, scores[1].perplexity)
      let change = (after / before - 1) * 100
      Output.line(
        "perplexity \(Readable.fixed(before, 4)) → \(Readable.fixed(after, 4)) "
          + "(\(change < 0 ? "" : "+")\(Readable.fixed(change, 2)) %) on \(scores[0].tokens) tokens"
      )
    }

    private func size(of path: String) -> Int {
      let attributes = try? FileManager.default.attributesOfItem(atPath: path)
      return (attributes?[.size] as? Int) ?? 0
    }

    /// The scores of models on the same rows; nil where they have no tokenizer and no rows of ids.
    private func scores(of paths: [String]) throws -> [Score]? {
      let models = try paths.map { try LoadedModel(path: $0) }
      guard models[0].frozen.plan.head.language != nil else {
        Output.note("no perplexity: the model predicts no tokens")
        return nil
      }
      guard data != nil || models[0].tokenizer.hasTexts else {
        Output.note("no perplexity: the model has no tokenizer; give rows of ids with --data")
        return nil
      }
      return try withRows { rows in
        try models.map { try score($0, rows) }
      }
    }

    /// The path of the rows: those of `--data`, or our own text in a file of its own.
    private func withRows<Result>(_ body: (String) throws -> Result) throws -> Result {
      if let data { return try body(data) }
      let path = FileManager.default.temporaryDirectory.path + "/reft-text-\(getpid()).jsonl"
      let encoder = JSONEncoder()
      let lines = try PerplexityText.paragraphs.map {
        String(decoding: try encoder.encode(["text": $0]), as: UTF8.self)
      }
      try AtomicFile.write(lines.joined(separator: "\n") + "\n", to: path)
      defer { unlink(path) }
      return try body(path)
    }

    private func score(_ model: LoadedModel, _ path: String) throws -> Score {
      var options = DataSet.Options()
      options.usualTemplate = try Template("none")
      options.contextLength = model.configuration.contextLength
      options.maxLength = .max
      options.overlong = .error
      options.caller = .options
      let rows = try DataSet(
        path: path,
        options: options,
        coder: model.tokenizer,
        chatTemplate: model.text.chatTemplate
      )
      let line = ProgressLine()
      defer { line.clear() }
      let clock = RateClock(total: rows.examples.count)
      return try Scorer(model: model, adapter: nil).score(rows) { done in
        line.show(clock.fields(done: done, unit: "rows"))
      }
    }
  }
}

/// A short text of our own, to measure perplexity on where no rows are given.
private enum PerplexityText {
  static let paragraphs = [
    """
    The bakery at the corner opens before sunrise. Its owner, a retired sailor, kneads the dough by \
    hand, because he says that a machine cannot feel when the flour has taken enough water. By seven \
    o'clock the first loaves are sold, and by ten there is nothing left but the smell of rye.
    """,
    """
    A river carries more than water. Sand and clay travel with it from the mountains to the sea, and \
    where the current becomes slow they sink to the ground. Over many years such deposits build flat \
    islands, on which grass grows first, then willows, and in the end people plant their gardens.
    """,
    """
    To sort a list of numbers, compare each number with its neighbour and exchange the two when they \
    stand in the wrong order. Repeat this until a whole pass needs no exchange. The method is simple \
    to explain, but it takes long for large lists, since the time grows with the square of the length.
    """,
    """
    "You are late," said the teacher, without looking up from the book. "The train stood still for an \
    hour," Anna answered, "and nobody told us why." She sat down next to the window, took out a pencil, \
    and began to draw the bridge that she had seen from the carriage.
    """,
    """
    In 1783 two brothers let a balloon of paper and cloth rise over a market square in France. It was \
    filled with hot air, stayed in the sky for about ten minutes, and came down in a field two \
    kilometres away. A few months later the first passengers flew: a sheep, a duck and a rooster.
    """,
  ]
}
