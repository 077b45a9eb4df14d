// SPDX-License-Identifier: Apache-2.0
// An adapter from its folder.

import Foundation
public import ReFTTensor

extension Adapter {
  /// Loads an adapter folder for a model.
  ///
  /// Parameters are taken as they stand. What is not quite as it was when the adapter was made, such
  /// as the model's fingerprint or a plugin's build, is told in `warnings`. A plugin is found by the id
  /// that the folder states: one of the same name and another id never takes its place.
  ///
  /// - Throws: `.inputMissing` or `.badData` for a folder that is not there or does not hold what
  ///   the format says; `.usage` for another model; `.pluginRefused` for plugins.
  public static func load(
    path: String,
    base: BaseModel,
    catalog: PluginCatalog
  ) throws(ReFTError) -> Adapter {
    let file = try AdapterFile(folder: path)
    var warnings = file.warnings
    warnings += try check(file.base, against: base, path: path)
    let built = try AdapterBuilder(base: base, catalog: catalog).build(
      file.specs,
      lora: file.lora,
      head: file.head,
      ids: file.provenance.map(\.id),
      of: path,
      inputs: try file.openInputs(of: path)
    )
    for (provenance, plugin) in zip(file.provenance, built.plugins) {
      warnings += provenance.differences(from: plugin)
    }
    do throws(ReFTError) {
      warnings += try AdapterTensors.read(
        path + "/" + AdapterFile.tensorName,
        into: built.store,
        beside: file.inputs.flatMap(\.self).compactMap(\.embedded)
      )
    } catch {
      // Another build of a plugin may want other parameters: then neither file is at fault.
      for (made, plugin) in zip(file.provenance, built.plugins) where error.code == .badData {
        guard let hash = made.hash, hash != plugin.hash else { continue }
        throw .adapterOfOtherBuild(path, plugin: plugin, made: hash, cause: error)
      }
      throw error
    }
    return Adapter(
      specs: built.specs,
      parameters: built.store,
      base: BaseModelReference(base),
      provenance: built.plugins.map(PluginProvenance.init),
      units: built.units,
      lora: built.lora,
      head: built.head,
      tokenizer: base.tokenizer,
      template: file.template,
      training: file.training,
      warnings: warnings
    )
  }

  /// Loads an adapter folder for an open model.
  public static func load(
    path: String,
    model: LoadedModel,
    catalog: PluginCatalog
  ) throws(ReFTError) -> Adapter {
    try load(path: path, base: BaseModel(model), catalog: catalog)
  }

  private static func check(
    _ made: BaseModelReference,
    against base: BaseModel,
    path: String
  ) throws(ReFTError) -> [String] {
    let here = BaseModelReference(base)
    for (what, then, now) in [
      ("architecture", made.architecture, here.architecture),
      ("hidden_size", String(made.hiddenSize), String(here.hiddenSize)),
      ("layers", String(made.layers), String(here.layers)),
    ] where then != now {
      throw .adapterForOtherModel(
        path,
        model: made.name,
        what: what,
        found: then,
        expected: now,
        here: here.name
      )
    }
    guard let fingerprint = made.fingerprint, fingerprint != here.fingerprint else { return [] }
    return [
      "the adapter '\(path)' was made for '\(made.name)' with another fingerprint "
        + "(\(fingerprint.prefix(19))…, here \(base.fingerprint.prefix(19))…): another "
        + "quantisation or version of the model"
    ]
  }
}
