// SPDX-License-Identifier: Apache-2.0
// From another program's file or folder to an adapter: what the formats have in common.

import ReFTModel
public import ReFTTensor

/// A parameter on its way into an adapter.
struct ImportedTensor {
  var shape: [Int]
  var values: [Float]
}

/// What a format's reader finds.
struct ImportedAdapter {
  /// The interventions, by plugins' names.
  var specs: [InterventionSpec] = []
  /// The LoRA; nil where there is none.
  var lora: LoRASpec?
  /// The parameters, as adapter files name them.
  var tensors: [String: ImportedTensor] = [:]
  /// The template of its training, where the folder says it.
  var template: String?
  /// What to keep of where it came from.
  var facts: [String: JSONValue] = [:]
  /// What the user should know, in sentences.
  var notes: [String] = []

  /// Adds the parameters of one intervention at one place.
  mutating func add(_ tensors: [(String, ImportedTensor)], of owner: ParameterOwner) {
    for (name, tensor) in tensors { self.tensors[owner.prefix + "." + name] = tensor }
  }
}

/// An adapter of another program, to be taken over.
public struct AdapterImport: Sendable {
  /// The format of the source.
  public var format: AdapterFormat
  /// The file or folder.
  public var source: String
  /// Which tokens are edited; nil where the source says it.
  public var positions: PositionRule?
  /// Options of the plugins that the source does not state, such as pyreft's activation.
  public var options: [String: OptionValue]
  /// The plugin, where the source leaves two possible.
  public var plugin: String?
  /// What a control vector's layers mean, where its file does not say.
  public var layerConvention: LayerConvention?

  /// Names a source.
  public init(
    format: AdapterFormat,
    source: String,
    positions: PositionRule? = nil,
    options: [String: OptionValue] = [:],
    plugin: String? = nil,
    layerConvention: LayerConvention? = nil
  ) {
    self.format = format
    self.source = source
    self.positions = positions
    self.options = options
    self.plugin = plugin
    self.layerConvention = layerConvention
  }

  /// Reads the source and makes an adapter for a model of it; its `warnings` tell what was left behind.
  ///
  /// - Throws: `.inputMissing` or `.badData` for what is not there or breaks the format; `.usage` for
  ///   what the source does not say and the request does not either, and for another model.
  public func adapter(
    base: BaseModel,
    catalog: PluginCatalog
  ) throws(ReFTError) -> Adapter {
    var found: ImportedAdapter
    switch format {
    case .pyreft: found = try PyreftImport(self).read()
    case .adapterHub: found = try AdapterHubImport(self, base: base).read()
    case .controlVector: found = try ControlVectorImport(self, base: base).read()
    case .peft: found = try PEFTImport(self, base: base).read()
    }
    found.facts["format"] = .string(format.rawValue)
    found.facts["source"] = .string(PathParts.name(of: source))
    let built = try AdapterBuilder(base: base, catalog: catalog).build(
      found.specs,
      lora: found.lora
    )
    let more = try fill(built.store, found.tensors, base: base)
    return Adapter(
      specs: built.specs,
      parameters: built.store,
      base: BaseModelReference(base),
      provenance: built.plugins.map(PluginProvenance.init),
      units: built.units,
      lora: built.lora,
      tokenizer: base.tokenizer,
      template: found.template,
      training: ["imported": .object(found.facts)],
      warnings: found.notes + more
    )
  }

  /// Puts the parameters in their places: all of them, and each place one.
  private func fill(
    _ store: ParameterStore,
    _ tensors: [String: ImportedTensor],
    base: BaseModel
  ) throws(ReFTError) -> [String] {
    var warnings: [String] = []
    for (index, info) in store.infos.enumerated() {
      guard let tensor = tensors[info.name] else { throw .importLacks(source, info.name) }
      guard tensor.shape == info.shape else {
        throw .importedShape(
          source,
          info.name,
          found: tensor.shape,
          expected: info.shape,
          model: base.configuration.name
        )
      }
      guard tensor.values.allSatisfy(\.isFinite) else { throw .importNotFinite(source, info.name) }
      _ = store.tensor(index).update(fromContentsOf: tensor.values)
      if let warning = AdapterTensors.constraintWarning(info, store.tensor(index)) {
        warnings.append(warning)
      }
    }
    if let name = tensors.keys.filter({ store.index(of: $0) == nil }).min() {
      throw .importHasMore(source, name)
    }
    return warnings
  }
}
