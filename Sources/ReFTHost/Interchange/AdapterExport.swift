// SPDX-License-Identifier: Apache-2.0
// From an adapter folder to the file or folder of another program. Neither model nor plugins are needed.

import ReFTModel
public import ReFTTensor

/// An adapter folder, to be written as another program's.
public struct AdapterExport: Sendable {
  /// The format.
  public let format: AdapterFormat
  /// The adapter folder.
  public let adapter: String

  let file: AdapterFile
  let weights: SafetensorsFile

  /// Opens an adapter folder.
  ///
  /// - Throws: `.inputMissing` or `.badData` as looking at the folder does.
  public init(format: AdapterFormat, adapter: String) throws(ReFTError) {
    self.format = format
    self.adapter = adapter
    file = try AdapterFile(folder: adapter)
    weights = try Safetensors.read(path: adapter + "/" + AdapterFile.tensorName)
    if file.head != nil { throw .exportWithHead(adapter) }
    if file.lora != nil, format != .peft { throw .exportWithLoRA(adapter, format: format) }
  }

  /// Writes the other program's file or folder.
  ///
  /// - Returns: what the user should know, in sentences.
  /// - Throws: `.usage`, saying why, for what the format has no place for; `.inputOutput` where the
  ///   system refuses.
  public func write(to path: String) throws(ReFTError) -> [String] {
    switch format {
    case .pyreft: try PyreftExport(self).write(to: path)
    case .controlVector: try ControlVectorExport(self).write(to: path)
    case .adapterHub: throw .exportUnknown(format)
    case .peft: try PEFTExport(self).write(to: path)
    }
  }

  /// The parameters of one place of an intervention, by the plugin's own names.
  func parameters(
    _ index: Int,
    block: Int,
    end: PositionGroup
  ) throws(ReFTError) -> [String: ImportedTensor] {
    try parameters(
      of: .intervention(index: index, block: block, end: end == .all ? nil : end.rawValue)
    )
  }

  /// The parameters of an owner, by their own names.
  func parameters(of owner: ParameterOwner) throws(ReFTError) -> [String: ImportedTensor] {
    let prefix = owner.prefix + "."
    var result: [String: ImportedTensor] = [:]
    for tensor in weights.tensors where tensor.name.hasPrefix(prefix) {
      let name = String(tensor.name.dropFirst(prefix.count))
      result[name] = ImportedTensor(shape: tensor.shape, values: try weights.floats(tensor.name))
    }
    return result
  }

  /// Refuses places and weights that no other program's files can say.
  func checkPlaces(_ spec: InterventionSpec) throws(ReFTError) {
    let isWeighted =
      spec.positions.parts.contains { $0.weight != 1 } || spec.positions.decodeWeight ?? 1 != 1
    let what =
      spec.heads != nil
      ? "heads that are edited singly"
      : !spec.tie.isEmpty
        ? "parameters that layers share"
        : spec.sharing == .none
          ? "parameters of its own for each position" : isWeighted ? "weights of positions" : nil
    if let what { throw .exportPlaces(adapter, what: what, format: format) }
  }

  /// Refuses options that change the edit in a way that the format cannot say.
  func check(_ spec: InterventionSpec, options known: Set<String>) throws(ReFTError) {
    guard let option = spec.options.keys.filter({ !known.contains($0) }).min() else { return }
    throw .exportOption(adapter, spec.plugin, option: option, format: format)
  }

  /// The plugin of an intervention by its short name; nil for another author's of the same name.
  func plugin(_ index: Int) -> String? {
    let name = file.specs[index].plugin
    let short = name.split(separator: ".").last.map(String.init) ?? name
    let id = file.provenance[index].id ?? (name.contains(".") ? name : "org.reft." + short)
    return id == "org.reft." + short ? short : nil
  }
}
