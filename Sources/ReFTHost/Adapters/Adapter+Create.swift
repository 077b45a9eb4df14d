// SPDX-License-Identifier: Apache-2.0
// A new adapter, with parameters at their start.

public import ReFTTensor

extension Adapter {
  /// Makes an adapter with freshly initialised parameters.
  ///
  /// - Parameters:
  ///   - specs: the interventions, in the order in which they apply at a common site.
  ///   - lora: what updates matrices of the model beside them; none by default.
  ///   - head: what is trained beside them to classify texts; none by default. With one of these there
  ///     may be no interventions at all.
  ///   - base: the model to be edited.
  ///   - catalog: where plugins are found.
  ///   - seed: decides all random starts; the same seed gives the same bits.
  /// - Returns: the adapter.
  /// - Throws: `.badConfiguration` for layers, positions or options that do not fit;
  ///   `.pluginRefused` and `.misbehaved` for plugins.
  public static func create(
    specs: [InterventionSpec],
    lora: LoRASpec? = nil,
    head: HeadSpec? = nil,
    base: BaseModel,
    catalog: PluginCatalog,
    seed: UInt64
  ) throws(ReFTError) -> Adapter {
    let built = try AdapterBuilder(base: base, catalog: catalog).build(
      specs,
      lora: lora,
      head: head
    )
    var filled: Set<Range<Int>> = []
    for unit in built.units where filled.insert(unit.parameters).inserted {
      try ParameterStart.fill(built.store, of: unit, seed: seed)
    }
    for owner in (built.lora?.owners ?? []) + [.head] {
      ParameterStart.fill(built.store, of: owner, seed: seed)
    }
    return Adapter(
      specs: built.specs,
      parameters: built.store,
      base: BaseModelReference(base),
      provenance: built.plugins.map(PluginProvenance.init),
      units: built.units,
      lora: built.lora,
      head: built.head,
      tokenizer: base.tokenizer
    )
  }

  /// Makes an adapter for an open model.
  public static func create(
    specs: [InterventionSpec],
    lora: LoRASpec? = nil,
    head: HeadSpec? = nil,
    model: LoadedModel,
    catalog: PluginCatalog,
    seed: UInt64
  ) throws(ReFTError) -> Adapter {
    try create(
      specs: specs,
      lora: lora,
      head: head,
      base: BaseModel(model),
      catalog: catalog,
      seed: seed
    )
  }
}
