// SPDX-License-Identifier: Apache-2.0
// A new adapter, with parameters at their start.

public import ReFTTensor

extension Adapter {
  /// Makes an adapter with freshly initialised parameters.
  ///
  /// - Parameters:
  ///   - specs: the interventions, in the order in which they apply at a common site.
  ///   - base: the model to be edited.
  ///   - catalog: where plugins are found.
  ///   - seed: decides all random starts; the same seed gives the same bits.
  /// - Returns: the adapter.
  /// - Throws: `.badConfiguration` for layers, positions or options that do not fit;
  ///   `.pluginRefused` and `.misbehaved` for plugins.
  public static func create(
    specs: [InterventionSpec],
    base: BaseModel,
    catalog: PluginCatalog,
    seed: UInt64
  ) throws(ReFTError) -> Adapter {
    let built = try AdapterBuilder(base: base, catalog: catalog).build(specs)
    for unit in built.units {
      try ParameterStart.fill(built.store, of: unit, seed: seed)
    }
    return Adapter(
      specs: built.specs,
      parameters: built.store,
      base: BaseModelReference(base),
      provenance: built.plugins.map(PluginProvenance.init),
      units: built.units,
      tokenizer: base.tokenizer
    )
  }

  /// Makes an adapter for an open model.
  public static func create(
    specs: [InterventionSpec],
    model: LoadedModel,
    catalog: PluginCatalog,
    seed: UInt64
  ) throws(ReFTError) -> Adapter {
    try create(specs: specs, base: BaseModel(model), catalog: catalog, seed: seed)
  }
}
