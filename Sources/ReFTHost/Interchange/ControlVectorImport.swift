// SPDX-License-Identifier: Apache-2.0
// GGUF control vectors as additive steering. Programs that apply them agree: `direction.N` is added to
// the output of block N. Producers do not: repeng reads it there too, llama.cpp's own generator at the
// output of block N − 1.

import ReFTModel
import ReFTTensor

/// Reads a control vector.
struct ControlVectorImport {
  let request: AdapterImport
  let base: BaseModel

  init(_ request: AdapterImport, base: BaseModel) {
    (self.request, self.base) = (request, base)
  }

  func read() throws(ReFTError) -> ImportedAdapter {
    if let plugin = request.plugin {
      throw .importOptionUnused("--plugin \(plugin)", format: request.format)
    }
    let file = try GGUFFile(path: request.source)
    let architecture = file.string("general.architecture")
    guard architecture == "controlvector" else {
      throw .noControlVector(request.source, architecture: architecture)
    }
    let (convention, producer) = try convention(file)
    var result = ImportedAdapter()
    var layers: [Int] = []
    for tensor in file.tensors {
      let layer = try layer(of: tensor, convention)
      layers.append(layer)
      result.add(
        [("vector", ImportedTensor(shape: tensor.shape, values: tensor.floats()))],
        of: .intervention(index: 0, block: layer, end: nil)
      )
    }
    guard !layers.isEmpty else { throw .importEditsNothing(request.source) }
    var options: [String: OptionValue] = ["alpha": .float(1), "trainable": .flag(false)]
    options.merge(request.options) { $1 }
    result.specs = [
      InterventionSpec(
        plugin: "additive-steering",
        layers: layers.sorted(),
        positions: request.positions ?? PositionRule(.all, editsDecodedTokens: true),
        options: options
      )
    ]
    result.facts["layer_convention"] = .string(convention.rawValue)
    result.facts["producer"] = .string(producer)
    let hint = file.string("controlvector.model_hint")
    if let hint, hint != base.configuration.architecture {
      result.notes.append(
        "the vector says that it was made for '\(hint.shown())'; the model is "
          + "'\(base.configuration.architecture)'"
      )
    }
    return result
  }

  /// What N means, and who made the file.
  private func convention(
    _ file: GGUFFile
  ) throws(ReFTError) -> (LayerConvention, producer: String) {
    var own: LayerConvention?
    var producer = "unknown"
    if let stated = file.string("reft.layer_convention") {
      own = LayerConvention(rawValue: stated)
      guard own != nil else { throw .layerConvention(request.source, found: stated) }
      producer = "reft"
    } else {
      switch file.valueType("controlvector.layer_count") {
      case .uint32?: (own, producer) = (.applied, "repeng")
      case .int32?: producer = "llama.cpp"
      default: break
      }
    }
    guard let convention = request.layerConvention ?? own else {
      throw .layerConventionNeeded(request.source, producer: producer)
    }
    return (convention, producer)
  }

  private func layer(
    of tensor: StoredTensor,
    _ convention: LayerConvention
  ) throws(ReFTError) -> Int {
    let prefix = "direction."
    let digits = tensor.name.dropFirst(prefix.count)
    guard tensor.name.hasPrefix(prefix), let number = Int(digits), String(number) == digits else {
      throw .importHasMore(request.source, tensor.name)
    }
    guard [.f32, .f16, .bf16].contains(tensor.type), tensor.shape.count == 1 else {
      throw .directionShape(request.source, tensor.name, shape: tensor.shape, type: tensor.type)
    }
    let layer = convention == .applied ? number : number - 1
    guard number >= 1, layer < base.configuration.layers else {
      throw .directionLayer(
        request.source,
        tensor.name,
        layer: layer,
        layers: base.configuration.layers
      )
    }
    return layer
  }
}
