// SPDX-License-Identifier: Apache-2.0
// Additive steering as a GGUF control vector: `direction.N` is α v of the output of block N, which
// llama.cpp adds to every token.

import ReFTModel
import ReFTTensor

/// Writes a control vector.
struct ControlVectorExport {
  let source: AdapterExport

  init(_ source: AdapterExport) { self.source = source }

  func write(to path: String) throws(ReFTError) -> [String] {
    let base = source.file.base
    var sums: [Int: [Float]] = [:]
    for (index, spec) in source.file.specs.enumerated() {
      try check(index, spec)
      let alpha = try alpha(index, spec)
      for layer in spec.layers {
        let tensors = try source.parameters(index, block: layer, end: .all)
        guard let vector = tensors["vector"], tensors.count == 1,
          vector.shape == [base.hiddenSize]
        else { throw .exportParameters(source.adapter, intervention: index, layer: layer) }
        let scaled = vector.values.map { alpha * $0 }
        sums[layer] = sums[layer].map { zip($0, scaled).map { $0 + $1 } } ?? scaled
      }
    }
    var file = GGUFOutput()
    file.set("general.architecture", .string("controlvector"))
    file.set("controlvector.model_hint", .string(base.architecture))
    file.set("controlvector.layer_count", .uint32(UInt32(sums.count)))
    file.set("reft.layer_convention", .string(LayerConvention.applied.rawValue))
    let layers = sums.keys.sorted()
    for layer in layers {
      file.add(
        GGUFOutput.Tensor(name: "direction.\(layer)", type: .f32, shape: [base.hiddenSize])
      )
    }
    try file.write(to: path) { _, index, writer throws(ReFTError) in
      let bytes = (sums[layers[index]] ?? []).withUnsafeBytes { Array($0) }
      try writer.write(bytes)
    }
    return []
  }

  private func check(_ index: Int, _ spec: InterventionSpec) throws(ReFTError) {
    guard source.plugin(index) == "additive-steering" else {
      throw .exportPlugin(source.adapter, spec.plugin, format: .controlVector)
    }
    try source.check(spec, options: ["alpha", "trainable"])
    try source.checkPlaces(spec)
    guard spec.component == .blockOutput else {
      throw .exportComponent(source.adapter, spec.component)
    }
    guard spec.positions.selection == .all, spec.positions.editsDecodedTokens else {
      throw .exportPositions(source.adapter, spec.positions)
    }
    if spec.layers.contains(0) { throw .exportFirstBlock(source.adapter) }
  }

  private func alpha(_ index: Int, _ spec: InterventionSpec) throws(ReFTError) -> Float {
    switch spec.options["alpha"] {
    case nil: return 1
    case .float(let value)?: return Float(value)
    case .int(let value)?: return Float(value)
    default: throw .exportParameters(source.adapter, intervention: index, layer: spec.layers[0])
    }
  }
}
