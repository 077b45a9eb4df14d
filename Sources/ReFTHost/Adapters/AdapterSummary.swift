// SPDX-License-Identifier: Apache-2.0
// What an adapter folder holds, without its model and its plugins.

public import ReFTTensor

/// The content of an adapter folder, for a look at it.
public struct AdapterSummary: Sendable {
  /// A parameter tensor of the folder.
  public struct Tensor: Sendable {
    /// The key in the file.
    public var name: String
    /// Its dimensions.
    public var shape: [Int]
  }

  /// The model that it was made for.
  public let base: BaseModelReference
  /// The interventions.
  public let specs: [InterventionSpec]
  /// Which build of each intervention's plugin made the parameters.
  public let provenance: [PluginProvenance]
  /// What updates matrices; nil where nothing does.
  public let lora: LoRASpec?
  /// What classifies texts; nil where there is none.
  public let head: HeadSpec?
  /// The template of its training.
  public let template: String?
  /// What the training told.
  public let training: [String: JSONValue]
  /// The parameter tensors.
  public let tensors: [Tensor]
  /// What is worth a word, in sentences.
  public let warnings: [String]

  /// Reads a folder.
  ///
  /// - Throws: `.inputMissing` or `.badData` for a folder that is not there or does not hold what
  ///   the format says.
  public init(path: String) throws(ReFTError) {
    let file = try AdapterFile(folder: path)
    let weights = try Safetensors.read(path: path + "/" + AdapterFile.tensorName)
    base = file.base
    specs = file.specs
    provenance = file.provenance
    lora = file.lora
    head = file.head
    template = file.template
    training = file.training
    warnings = file.warnings
    let inputs = Set(file.inputs.flatMap(\.self).compactMap(\.embedded))
    tensors = weights.tensors.filter { !inputs.contains($0.name) }
      .map { Tensor(name: $0.name, shape: $0.shape) }
  }

  /// The number of values in all tensors.
  public var parameterCount: Int {
    tensors.reduce(0) { $0 + $1.shape.reduce(1, *) }
  }
}
