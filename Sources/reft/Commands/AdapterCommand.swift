// SPDX-License-Identifier: Apache-2.0
// `reft adapter`: what an adapter folder holds, and how it comes from and goes to other programs.

import ArgumentParser
import ReFTHost
import ReFTModel
import ReFTTensor

struct AdapterCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "adapter",
    abstract: "Look at adapters, combine them, and take them from and give them to other programs.",
    subcommands: [Info.self, Import.self, Export.self, Combine.self]
  )

  struct Info: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show what an adapter folder holds; needs neither model nor plugins.",
      discussion: """
        EXAMPLES
          reft adapter info runs/demo/adapter
          reft adapter info runs/demo/adapter --json
        """
    )

    @Argument(help: "An adapter folder.")
    var adapter: String
    @OptionGroup var common: CommonOptions

    private struct Base: Encodable {
      var name: String
      var architecture: String
      var hidden_size: Int
      var layers: Int
      var fingerprint: String?
    }
    private struct Tensor: Encodable {
      var name: String
      var shape: [Int]
    }
    private struct Document: Encodable {
      var base_model: Base
      var interventions: [InterventionSpec]
      var lora: JSONValue?
      var head: JSONValue?
      var template: OrNull<String>
      var training: [String: JSONValue]
      var parameters: Int
      var tensors: [Tensor]
    }

    func run() throws {
      let summary = try AdapterSummary(path: adapter)
      for warning in summary.warnings { Output.note("warning: \(warning)") }
      if common.json { return try Output.json(document(summary)) }
      let base = summary.base
      Output.table([
        ["base model", base.name],
        ["shape", "\(base.architecture), \(base.layers) layers × \(base.hiddenSize)"],
        ["template", summary.template ?? "none"],
        [
          "parameters",
          "\(Readable.count(summary.parameterCount)) in \(summary.tensors.count) tensors",
        ],
      ])
      if let lora = summary.lora {
        Output.line("\nlora: rank \(lora.rank)")
        Output.table([
          ["  alpha", "\(lora.alpha)" + (lora.isRankStabilized ? ", rank-stabilised" : "")],
          ["  dropout", "\(lora.dropout)"],
          ["  targets", lora.targets.map(\.rawValue).joined(separator: ", ")],
          ["  layers", lora.layers.map(String.init).joined(separator: ", ")],
        ])
      }
      if let head = summary.head {
        let hidden = head.hidden == .dense ? "dense, \(head.activation.rawValue)" : "none"
        Output.line("\nhead: \(head.task.rawValue)")
        Output.table([
          ["  labels", head.task == .regression ? "a number" : head.labels.description],
          ["  pooling", head.pooling.rawValue],
          ["  hidden", hidden],
        ])
      }
      for (index, spec) in summary.specs.enumerated() {
        Output.line("\nintervention \(index): \(spec.plugin)")
        let made = summary.provenance[index]
        Output.table([
          ["  layers", spec.layers.map(String.init).joined(separator: ", ")],
          ["  component", spec.componentInWords],
          ["  positions", "\(spec.positions)"],
          ["  weights", "shared by \(spec.sharingInWords)"],
          [
            "  options",
            spec.options.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
              .joined(separator: ", "),
          ],
          ["  made by", "version \(made.version ?? "unknown"), ABI \(made.abi ?? "unknown")"],
        ])
      }
    }

    private func document(_ summary: AdapterSummary) -> Document {
      Document(
        base_model: Base(
          name: summary.base.name,
          architecture: summary.base.architecture,
          hidden_size: summary.base.hiddenSize,
          layers: summary.base.layers,
          fingerprint: summary.base.fingerprint
        ),
        interventions: summary.specs,
        lora: summary.lora.map { .object($0.members) },
        head: summary.head.map { .object($0.members) },
        template: OrNull(summary.template),
        training: summary.training,
        parameters: summary.parameterCount,
        tensors: summary.tensors.map { Tensor(name: $0.name, shape: $0.shape) }
      )
    }
  }
}
