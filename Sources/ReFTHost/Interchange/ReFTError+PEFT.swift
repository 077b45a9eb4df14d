// SPDX-License-Identifier: Apache-2.0
// What can be wrong with a LoRA on its way from and to PEFT.

import ReFTModel
import ReFTTensor

extension ReFTError {
  static func peftFamily(_ path: String, _ family: String) -> ReFTError {
    ReFTError(
      .usage,
      "'\(path)': the modules of the family '\(family)' have no names here; use the adapter with a model of "
        + "a family that `reft model list` names"
    )
  }

  static func peftModule(_ path: String, _ name: String, _ known: [String]) -> ReFTError {
    ReFTError(
      .badData,
      "'\(path)' has the tensor '\(name.shown())', which is no lora_A.weight or lora_B.weight of a matrix of "
        + "this model's blocks (\(known.joined(separator: ", "))); name the model that it was made for with "
        + "--model, and leave other modules out of target_modules and modules_to_save"
    )
  }

  static func exportWithoutLoRA(_ path: String) -> ReFTError {
    ReFTError(
      .usage,
      "the adapter '\(path)' has no LoRA, and PEFT knows no edits of representations; export it with "
        + "--format pyreft"
    )
  }

  static func exportLoRAWithEdits(_ path: String) -> ReFTError {
    ReFTError(
      .usage,
      "the adapter '\(path)' has interventions beside its LoRA, which were trained together and which PEFT "
        + "has no place for; use it with reft, or train the LoRA alone"
    )
  }

  static func exportLoRAParameters(
    _ path: String,
    _ target: BlockProjection,
    block: Int
  ) -> ReFTError {
    ReFTError(
      .badData,
      "'\(path)' lacks A or B of \(target.rawValue) of layer \(block); take an earlier checkpoint"
    )
  }

  static func exportLoRATarget(
    _ path: String,
    _ target: BlockProjection,
    _ known: some Collection<BlockProjection>
  ) -> ReFTError {
    let names = BlockProjection.allCases.filter(known.contains).map(\.rawValue)
    return ReFTError(
      .usage,
      "the adapter '\(path)' updates \(target.rawValue), which is a part of a larger module in this family's "
        + "own code; PEFT can update \(names.joined(separator: ", ")) there: train one of these"
    )
  }

  static func exportLoRAHeads(_ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "the adapter '\(path)' does not say what heads its model has, by which the rows of B are shared out; "
        + "write lora.heads into its adapter_config.json as a newer adapter has it"
    )
  }
}
