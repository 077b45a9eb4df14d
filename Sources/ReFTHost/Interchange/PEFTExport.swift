// SPDX-License-Identifier: Apache-2.0
// A LoRA as the folder that PEFT loads.

import Foundation
import ReFTModel
import ReFTTensor

/// Writes a folder of PEFT.
struct PEFTExport {
  let source: AdapterExport

  init(_ source: AdapterExport) { self.source = source }

  func write(to path: String) throws(ReFTError) -> [String] {
    guard let spec = source.file.lora else { throw .exportWithoutLoRA(source.adapter) }
    guard source.file.specs.isEmpty else { throw .exportLoRAWithEdits(source.adapter) }
    let architecture = source.file.base.architecture
    guard let names = ModuleNames(architecture: architecture) else {
      throw .peftFamily(source.adapter, architecture)
    }
    var tensors: [NamedTensor] = []
    var modules: Set<String> = []
    for block in spec.layers {
      for target in spec.targets {
        for part in try parts(of: target, block: block, names) {
          tensors += part.tensors
          modules.insert(part.target)
        }
      }
    }
    let document = try configuration(
      spec,
      modules: modules.sorted(),
      isConv1D: architecture == "gpt2"
    )
    try NewFolder.write(path, option: "--output") { folder throws(ReFTError) in
      try AtomicFile.write(document, to: folder + "/adapter_config.json")
      try Safetensors.write(
        tensors,
        metadata: ["format": "pt"],
        to: folder + "/adapter_model.safetensors"
      )
    }
    let name = source.file.base.name
    return [
      "base_model_name_or_path of adapter_config.json is '\(name)'; PEFT takes whatever model it is given"
    ]
  }

  /// The matrices of one module.
  private struct Part {
    /// What target_modules calls it.
    var target: String
    var tensors: [NamedTensor]
  }

  /// The modules of a target: one, or where PEFT has its matrices apart one for each, with the same A.
  private func parts(
    of target: BlockProjection,
    block: Int,
    _ names: ModuleNames
  ) throws(ReFTError) -> [Part] {
    let found = try source.parameters(of: .lora(block: block, projection: target.rawValue))
    guard let a = found["A"], let b = found["B"], a.shape.count == 2, b.shape.count == 2 else {
      throw .exportLoRAParameters(source.adapter, target, block: block)
    }
    if names.modules[target] != nil {
      return [try part(target, block: block, a, ordered(b, target, names), names)]
    }
    let pieces: [BlockProjection] =
      switch target {
      case .queryKeyValue: [.query, .key, .value]
      case .gateUp: [.gate, .up]
      default: []
      }
    guard !pieces.isEmpty, pieces.allSatisfy({ names.modules[$0] != nil }) else {
      throw .exportLoRATarget(source.adapter, target, names.modules.keys)
    }
    var parts: [Part] = []
    var first = 0
    for (piece, rows) in zip(pieces, try heights(pieces, of: b.shape[0])) {
      let own = b.rows(Array(first..<first + rows))
      parts.append(try part(piece, block: block, a, own, names))
      first += rows
    }
    return parts
  }

  /// How many rows each matrix has of those that stand one above the other.
  private func heights(_ pieces: [BlockProjection], of total: Int) throws(ReFTError) -> [Int] {
    if pieces.count == 2 { return [total / 2, total / 2] }
    guard let heads = source.file.lora?.heads,
      (heads.count + 2 * heads.keyValueCount) * heads.size == total
    else { throw .exportLoRAHeads(source.adapter) }
    return [heads.count, heads.keyValueCount, heads.keyValueCount].map { $0 * heads.size }
  }

  private func ordered(
    _ b: ImportedTensor,
    _ target: BlockProjection,
    _ names: ModuleNames
  ) throws(ReFTError) -> ImportedTensor {
    guard names.isReordered(target) else { return b }
    guard let heads = source.file.lora?.heads,
      let order = names.rowOrder(of: target, (heads.count, heads.size)), order.count == b.shape[0]
    else { throw .exportLoRAHeads(source.adapter) }
    var inverse = [Int](repeating: 0, count: order.count)
    for (row, place) in order.enumerated() { inverse[place] = row }
    return b.rows(inverse)
  }

  private func part(
    _ target: BlockProjection,
    block: Int,
    _ a: ImportedTensor,
    _ b: ImportedTensor,
    _ names: ModuleNames
  ) throws(ReFTError) -> Part {
    guard let module = names.module(target, block: block) else {
      throw .exportLoRATarget(source.adapter, target, names.modules.keys)
    }
    let tensors = zip(PEFTImport.matrices, [a, b]).map { matrix, tensor in
      NamedTensor(
        name: PEFTImport.prefix + module + matrix.ending,
        shape: tensor.shape,
        values: tensor.values
      )
    }
    return Part(target: names.target(target) ?? module, tensors: tensors)
  }

  private func configuration(
    _ spec: LoRASpec,
    modules: [String],
    isConv1D: Bool
  ) throws(ReFTError) -> Data {
    let root: [String: JSONValue] = [
      "peft_type": .string("LORA"), "task_type": .null, "inference_mode": .bool(true),
      "base_model_name_or_path": .string(source.file.base.name), "revision": .null,
      "r": .int(Int64(spec.rank)), "lora_alpha": .double(spec.alpha),
      "lora_dropout": .double(spec.dropout), "use_rslora": .bool(spec.isRankStabilized),
      "target_modules": .array(modules.map { .string($0) }), "bias": .string("none"),
      "fan_in_fan_out": .bool(isConv1D), "init_lora_weights": .bool(true),
      "layers_to_transform": spec.layers.count == source.file.base.layers
        ? .null : .array(spec.layers.map { .int(Int64($0)) }),
      "layers_pattern": .null, "modules_to_save": .null, "rank_pattern": .object([:]),
      "alpha_pattern": .object([:]), "use_dora": .bool(false),
    ]
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    do {
      return try encoder.encode(JSONValue.object(root)) + Data("\n".utf8)
    } catch {
      throw .adapterNotWritable("adapter_config.json", cause: error)
    }
  }
}
