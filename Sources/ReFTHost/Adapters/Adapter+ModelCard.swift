// SPDX-License-Identifier: Apache-2.0
// The README.md of an adapter folder, as hubs of models show it.

import Foundation
import ReFTModel
import ReFTTensor

extension AdapterFolder {
  /// A model card: what the adapter is, where it works, how to use it.
  func modelCard() -> String {
    let count = tensors.reduce(0) { $0 + $1.shape.reduce(1, *) }
    return """
      ---
      library_name: reft
      base_model: \(Self.quoted(file.base.name))
      tags:
      - reft
      - representation-finetuning
      ---
      # An adapter for \(file.base.name)

      \(file.specs.isEmpty ? "" : editsPart)\(loraPart)\(headPart)It has \(count) parameters.

      Base model: \(file.base.architecture), \(file.base.layers) blocks, width \
      \(file.base.hiddenSize), fingerprint `\(file.base.fingerprint ?? "unknown")`.
      \(templateLine)
      \(trainingTable)
      ## Use

          \(useLine)

      """
  }

  private var editsPart: String {
    """
    It edits hidden representations of the frozen model (Representation Finetuning,
    [arXiv 2404.03592](https://arxiv.org/abs/2404.03592)).

    | plugin | version | layers | component | positions | shared | options |
    |---|---|---|---|---|---|---|
    \(rows.joined(separator: "\n"))


    """
  }

  private var loraPart: String {
    guard let spec = file.lora else { return "" }
    let layers = spec.layers.map(String.init).joined(separator: " ")
    return """
      It updates matrices of the model (LoRA, [arXiv 2106.09685](https://arxiv.org/abs/2106.09685)) of \
      rank \(spec.rank), alpha \(spec.alpha)\(spec.isRankStabilized ? ", rank-stabilised" : ""): \
      \(spec.targets.map(\.rawValue).joined(separator: ", ")) of the layers \(layers).


      """
  }

  private var headPart: String {
    guard let spec = file.head else { return "" }
    let kind =
      spec.hidden == .dense ? "a hidden layer with \(spec.activation.rawValue)" : "no hidden layer"
    return """
      Its head (\(spec.task.rawValue), pooling \(spec.pooling.rawValue), \(kind)) has the labels \
      \(Self.cell(spec.labels.description)).


      """
  }

  private var useLine: String {
    file.head == nil
      ? "reft generate --model MODEL --adapter THIS_FOLDER --instruction \"…\""
      : "reft score --model MODEL --adapter THIS_FOLDER --data ROWS.jsonl"
  }

  private var rows: [String] {
    zip(file.specs, file.provenance).map { spec, provenance in
      let options = spec.options.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
      let layers = spec.layers.map(String.init).joined(separator: " ")
      let cells = [
        spec.plugin, provenance.version ?? "", layers, spec.componentInWords,
        "`\(spec.positions)`", spec.sharingInWords,
        options.joined(separator: ", "),
      ]
      return "| " + cells.map(Self.cell).joined(separator: " | ") + " |"
    }
  }

  private var templateLine: String {
    file.template.map { "Template of instructions: `\(Self.cell($0))`.\n" } ?? ""
  }

  private var trainingTable: String {
    let facts = file.training.sorted { $0.key < $1.key }.compactMap { key, value -> String? in
      switch value {
      case .string(let text): "| \(key) | \(Self.cell(text)) |"
      case .int(let number): "| \(key) | \(number) |"
      case .double(let number): "| \(key) | \(number) |"
      case .bool(let flag): "| \(key) | \(flag) |"
      case .null, .array, .object: nil
      }
    }
    guard !facts.isEmpty else { return "" }
    return "## Training\n\n| | |\n|---|---|\n" + facts.joined(separator: "\n") + "\n"
  }

  private static func cell(_ text: String) -> String {
    text.replacingOccurrences(of: "|", with: "\\|").replacingOccurrences(of: "\n", with: " ")
  }

  private static func quoted(_ text: String) -> String {
    "\""
      + text.replacingOccurrences(of: "\\", with: "\\\\")
      .replacingOccurrences(of: "\"", with: "\\\"").replacingOccurrences(of: "\n", with: " ")
      + "\""
  }
}
