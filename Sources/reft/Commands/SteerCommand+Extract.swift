// SPDX-License-Identifier: Apache-2.0
// `reft steer extract`: a contrast of texts becomes an adapter.

public import ArgumentParser
import ReFTHost
public import ReFTModel
public import ReFTSteering
import ReFTTensor

extension DirectionMethod: ExpressibleByArgument {}
extension StrengthUnit: ExpressibleByArgument {}
extension Component: ExpressibleByArgument {}

extension SteerCommand {
  struct Extract: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Find steering vectors in contrast pairs or labelled texts; write an adapter.",
      discussion: """
        ROWS OF --data
          {"positive","negative"}             two texts that differ in the quality alone
          {"prompt","positive","negative"}    two ways to go on from a prompt
          {"prompt","chosen","rejected"}      the same, as preference data names it
          {"question","answer_matching_behavior","answer_not_matching_behavior"}
          {"text","label"}                    labelled texts; with "pair" or "batch_id" in pairs
        Tables have these keys as columns. With --suffixes, pairs are made of a --template with a word and \
        its opposite, before each suffix.

        METHODS
          mean-difference   from the mean of the negative texts to that of the positive ones
          pca-uncentred     first principal component of the pairs' differences
          pca-centred       the same about their mean
          logistic          normal of an L2-penalised logistic regression
        All point towards the positive texts. Separation is told on texts that are held out.

        EXAMPLES
          reft steer extract --model M --data pairs.jsonl --layers 8-20 --output warm
          reft steer extract --model M --data reviews.tsv --positive Positive --output warm
          reft steer extract --model M --suffixes facts.json --truncate --chat \\
            --template "Act as if you are {}." --positive happy --negative sad --output happy.gguf
        """
    )

    @OptionGroup var model: ModelOptions
    @OptionGroup var texts: ContrastOptions
    @OptionGroup var device: DeviceOptions
    @OptionGroup var plugins: PluginOptions
    @OptionGroup var common: CommonOptions

    @Option(help: "How directions are found.")
    var method = DirectionMethod.meanDifference
    @Option(help: "The hidden tensor that is read and edited.")
    var component = Component.blockOutput
    @Option(help: "The blocks: all, or numbers and ranges such as 5-20 or 2,10.")
    var layers = "all"
    @Option(help: "The tokens that stand for a text: last, mean, or a rule such as l4 or [-2].")
    var position = "last"
    @Option(help: "The part of the texts that separation is measured on.")
    var holdout = 0.2
    @Option(help: "Decides which texts are held out.")
    var seed: UInt64 = 0
    @Option(help: "The L2 penalty of the logistic method.")
    var l2 = 0.01

    @Option(help: "The plugin that edits: additive-steering or norm-steering.")
    var plugin = "additive-steering"
    @Option(help: "What strength 1 means: median-norm (a median row of the layer) or raw.")
    var unit = StrengthUnit.medianNorm
    @Option(
      parsing: .unconditional,
      help: """
        The strength at each layer; by default 0.2 over the number of layers, whose steps add up. \
        `reft steer sweep` finds a good one.
        """
    )
    var strength: Double?
    @Option(
      name: .customLong("edit-positions"),
      help: "The tokens that the adapter edits: all+decode, l1, …"
    )
    var editPositions = "all+decode"
    @Option(help: ArgumentHelp("An adapter folder, or a GGUF control vector.", valueName: "path"))
    var output: String
    @OptionGroup var pass: PassOptions

    func validate() throws {
      guard (0...0.9).contains(holdout) else {
        throw ValidationError("--holdout is \(holdout); it must be from 0 to 0.9")
      }
      guard l2 > 0, l2 <= 1e6 else {
        throw ValidationError("--l2 is \(l2); it must be above 0 and at most 1e6")
      }
      if let strength, !(strength.magnitude <= 1e6) {
        throw ValidationError("--strength is \(strength); it must be from -1e6 to 1e6")
      }
    }

    /// Whether a control vector is written.
    private var writesGGUF: Bool { output.hasSuffix(".gguf") }

    func run() throws {
      let positions = try positions()
      try checkOutput()
      let loaded = try LoadedModel(path: model.path())
      let catalog = try plugins.catalog()
      let plan = ExtractionPlan(
        method: method,
        component: component,
        layers: try chosenLayers(loaded),
        position: try ReadPosition(position),
        heldOut: holdout,
        seed: seed,
        penalty: l2
      )
      let edit = SteeringEdit(
        plugin: plugin,
        unit: unit,
        strength: strength ?? 0.2 / Double(max(1, plan.layers.count)),
        positions: positions
      )
      let contrast = try texts.contrast(for: loaded)
      let start = ContinuousClock.now
      let extraction = try extract(contrast, plan, loaded)
      let seconds = start.duration(to: .now) / .seconds(1)
      let adapter = try extraction.adapter(
        edit,
        model: loaded,
        catalog: catalog,
        facts: try contrastFacts()
      )
      if writesGGUF {
        try adapter.writeControlVector(to: output)
      } else {
        try adapter.save(to: output)
      }
      try show(extraction, edit, seconds: seconds)
    }

    /// Makes sure of the place of the result before any work is done for it.
    private func checkOutput() throws {
      guard writesGGUF else { return try NewFolder.check(output, option: "--output") }
      try ResultFile(option: "--output", path: output).check(
        inputs: [try model.path()] + texts.files,
        kind: "control vector"
      ) { (try? GGUFFile(path: $0))?.string("general.architecture") == "controlvector" }
    }

    private func positions() throws -> PositionRule {
      do throws(ReFTError) {
        return try PositionRule(editPositions)
      } catch {
        throw ReFTError(.usage, "--edit-positions: \(error.message)", cause: error)
      }
    }

    /// The blocks; a control vector has no place for the first one, which is left out of "all".
    private func chosenLayers(_ loaded: LoadedModel) throws -> [Int] {
      let chosen = try NumberList.layers(layers, of: loaded)
      return writesGGUF && layers == "all" ? chosen.filter { $0 > 0 } : chosen
    }

    private func contrastFacts() throws -> [String: JSONValue] {
      var facts: [String: JSONValue] = [:]
      for file in texts.files {
        facts[PathParts.name(of: file)] = .string("sha256:" + (try SHA256Digest.hex(ofFile: file)))
      }
      return [
        "data": .object(facts), "chat": .bool(texts.chat),
        "limit": texts.limit.map { .int(Int64($0)) } ?? .null,
      ]
    }

    private func extract(
      _ contrast: ContrastSet,
      _ plan: ExtractionPlan,
      _ loaded: LoadedModel
    ) throws -> SteeringExtraction {
      let line = ProgressLine()
      let clock = RateClock(total: contrast.count)
      defer { line.clear() }
      return try SteeringExtraction(
        of: contrast,
        plan: plan,
        encoder: texts.encoder(for: loaded),
        model: loaded,
        microBatchTokens: pass.microBatchTokens,
        device: try device.open()
      ) { done in line.show(clock.fields(done: done, unit: "texts")) }
    }

    // MARK: Results

    private struct Layer: Encodable {
      var layer: Int
      var auroc: Double
      var accuracy: Double
      var norm: Double
      var median_norm: Double
      var gap: Double
      var explained_variance: Double
    }

    private struct Document: Encodable {
      var output: String
      var method: String
      var component: String
      var position: String
      var unit: String
      var strength: Double
      var paired: Bool
      var texts: Int
      var held_out: Int
      var tokens: Int
      var seconds: Double
      var tokens_per_second: Double
      var best_layer: Int?
      var layers: [Layer]
    }

    private func show(
      _ extraction: SteeringExtraction,
      _ edit: SteeringEdit,
      seconds: Double
    ) throws {
      if common.json {
        return try Output.json(document(extraction, edit, seconds: seconds))
      }
      Output.table(
        [["layer", "AUROC", "accuracy", "norm", "of median", "explained"]] + rows(extraction)
      )
      let held = extraction.heldOutTexts
      Output.line(
        "\(extraction.trainingTexts) texts"
          + (held > 0 ? ", \(held) held out for AUROC and accuracy" : ", none held out")
          + (extraction.isPaired ? "; in pairs" : "")
      )
      if let best = extraction.bestLayer { Output.line("layer \(best) separates best") }
      Output.line(
        "\(method.rawValue) at strength \(Readable.fixed(edit.strength, 4)) in units of "
          + "\(unit.rawValue): \(output)"
      )
      Output.remark(
        "\(Readable.count(extraction.tokens)) tokens in \(Readable.fixed(seconds, 1)) s, "
          + "\(Readable.fixed(Double(extraction.tokens) / seconds, 0)) tokens/s"
      )
    }

    private func rows(_ extraction: SteeringExtraction) -> [[String]] {
      extraction.vectors.map { vector in
        [
          String(vector.layer), Readable.fixed(vector.separation.auroc, 3),
          Readable.fixed(vector.separation.accuracy, 3), Readable.fixed(vector.norm, 3),
          Readable.fixed(vector.norm / max(vector.medianNorm, .leastNormalMagnitude), 3),
          Readable.fixed(100 * vector.explainedVariance, 1) + " %",
        ]
      }
    }

    private func document(
      _ extraction: SteeringExtraction,
      _ edit: SteeringEdit,
      seconds: Double
    ) -> Document {
      Document(
        output: output,
        method: method.rawValue,
        component: component.rawValue,
        position: extraction.plan.position.description,
        unit: unit.rawValue,
        strength: edit.strength,
        paired: extraction.isPaired,
        texts: extraction.trainingTexts,
        held_out: extraction.heldOutTexts,
        tokens: extraction.tokens,
        seconds: seconds,
        tokens_per_second: Double(extraction.tokens) / seconds,
        best_layer: extraction.bestLayer,
        layers: extraction.vectors.map { vector in
          Layer(
            layer: vector.layer,
            auroc: vector.separation.auroc,
            accuracy: vector.separation.accuracy,
            norm: vector.norm,
            median_norm: vector.medianNorm,
            gap: vector.gap,
            explained_variance: vector.explainedVariance
          )
        }
      )
    }
  }
}
