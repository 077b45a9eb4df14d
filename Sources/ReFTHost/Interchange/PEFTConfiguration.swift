// SPDX-License-Identifier: Apache-2.0
// `adapter_config.json` of a PEFT folder: what of it is read, and what is refused by name.

import Foundation
import ReFTModel
import ReFTTensor

/// What PEFT's configuration says of a LoRA.
struct PEFTConfiguration {
  var rank: Int
  var alpha: Double
  var dropout: Double
  var isRankStabilized: Bool

  /// Keys that say where a LoRA works, which its tensors say too, or how it came about.
  private static let harmless: Set = [
    "alpha_pattern", "auto_mapping", "base_model_name_or_path", "bias", "corda_config",
    "eva_config",
    "exclude_modules", "fan_in_fan_out", "inference_mode", "init_lora_weights", "layers_pattern",
    "layers_to_transform", "lora_alpha", "lora_dropout", "megatron_core", "peft_type",
    "peft_version",
    "qalora_group_size", "r", "rank_pattern", "revision", "target_modules", "task_type",
    "use_rslora",
  ]

  /// Ways to start that change the model's own weights, so that the LoRA alone is not the model.
  private static let changingStarts = ["pissa", "olora", "corda", "loftq"]

  /// Reads the file of a folder.
  ///
  /// - Throws: `.inputMissing` without it; `.badData` naming the key that is wrong, or that asks for more
  ///   than a LoRA.
  init(folder: String) throws(ReFTError) {
    let path = folder + "/adapter_config.json"
    guard FileManager.default.fileExists(atPath: path) else {
      throw .importMissing(folder, "a folder of PEFT with an adapter_config.json")
    }
    let root = try JSONReader(file: path)
    let kind = try root.required("peft_type")
    guard try kind.string() == "LORA" else {
      throw kind.fault("'LORA': PEFT's other kinds are not taken over")
    }
    for member in root.members where !Self.harmless.contains(member.key) {
      guard !member.value.isNothing, let reader = try root.optional(member.key) else { continue }
      throw reader.fault("null, false or empty: this is more than a LoRA, and is not taken over")
    }
    for key in ["rank_pattern", "alpha_pattern"] {
      guard let pattern = try root.optional(key), !pattern.node.isNothing else { continue }
      throw pattern.fault("empty: one rank and one alpha for all modules can be taken over")
    }
    if let bias = try root.optional("bias"), try bias.string() != "none" {
      throw bias.fault("'none': trained biases are not taken over")
    }
    if let start = try root.optional("init_lora_weights"), let name = start.node.word?.lowercased(),
      Self.changingStarts.contains(where: name.hasPrefix)
    {
      throw start.fault(
        "a start that leaves the model's weights alone; save it converted, with "
          + "save_pretrained(path_initial_model_for_weight_conversion=…)"
      )
    }
    let rankReader = try root.required("r")
    rank = try rankReader.int()
    guard (1...LoRASpec.maximumRank).contains(rank) else {
      throw rankReader.fault("1 to \(LoRASpec.maximumRank)")
    }
    let alphaReader = try root.required("lora_alpha")
    guard let alpha = alphaReader.node.number, alpha > 0, alpha.isFinite else {
      throw alphaReader.fault("a number above 0")
    }
    self.alpha = alpha
    dropout = 0
    if let rate = try root.optional("lora_dropout") {
      guard let number = rate.node.number, (0..<1).contains(number) else {
        throw rate.fault("a number from 0 and below 1")
      }
      dropout = number
    }
    isRankStabilized = try root.optional("use_rslora")?.bool() ?? false
  }
}

extension JSONNode {
  /// Whether a value switches nothing on: null, false, or empty.
  fileprivate var isNothing: Bool {
    switch content {
    case .null: true
    case .flag(let flag): !flag
    case .list(let list): list.isEmpty
    case .object(let members): members.isEmpty
    default: word == ""
    }
  }
}
