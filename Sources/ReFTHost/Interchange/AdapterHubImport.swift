// SPDX-License-Identifier: Apache-2.0
// A ReFT of AdapterHub's `adapters` library: adapter_config.json beside pytorch_adapter.bin or
// adapter.safetensors. Its reader of positions differs from ours in two points that notes tell.

import Foundation
import ReFTModel
import ReFTTensor

/// Reads a folder of the `adapters` library.
struct AdapterHubImport {
  let request: AdapterImport
  let base: BaseModel

  /// What adapter_config.json says.
  private struct Configuration {
    var prefix: Int
    var suffix: Int
    var isTied: Bool
    var isOrthogonal: Bool
    var subtracts: Bool?
    var options: [String: OptionValue]
  }

  /// Where a tensor belongs.
  private struct Place: Hashable {
    var layer: Int
    var unit: Int
  }

  init(_ request: AdapterImport, base: BaseModel) {
    (self.request, self.base) = (request, base)
  }

  func read() throws(ReFTError) -> ImportedAdapter {
    try request.refuseConvention()
    let configuration = try readConfiguration()
    let plugin = try plugin(configuration)
    let file = try open()
    let places = try places(file)
    let rule = try positions(configuration)
    let isApart = !configuration.isTied && rule.isTwoEnded
    var spec = InterventionSpec(
      plugin: plugin,
      layers: Set(places.keys.map(\.layer)).sorted(),
      positions: rule,
      shareWeights: !isApart,
      options: configuration.options
    )
    if plugin == "direft", configuration.isOrthogonal { spec.options["orthogonal"] = .flag(true) }
    var result = ImportedAdapter()
    for (place, prefix) in places {
      // Without ties there is always a second unit, for no position at all where an end is unused.
      let isUsed = configuration.isTied || (place.unit == 0 ? rule.hasPrefix : rule.hasSuffix)
      guard isUsed else { continue }
      let end = isApart ? (place.unit == 0 ? "prefix" : "suffix") : nil
      let tensors = try parameters(file, prefix, plugin, isOrthogonal: configuration.isOrthogonal)
      spec.options["rank"] = .int(Int64(tensors[0].1.shape[0]))
      result.add(tensors, of: .intervention(index: 0, block: place.layer, end: end))
    }
    spec.options.merge(request.options) { $1 }
    result.specs = [spec]
    result.notes.append(
      "the adapters library edits the whole prefix and suffix of short texts too, and takes the suffix "
        + "from the end of all tokens that it is given; here each end is at most half of the prompt"
    )
    return result
  }

  // MARK: - Configuration

  private func readConfiguration() throws(ReFTError) -> Configuration {
    let path = request.source + "/adapter_config.json"
    guard FileManager.default.fileExists(atPath: path) else {
      throw .importMissing(
        request.source,
        "a folder of the adapters library with an adapter_config.json"
      )
    }
    let root = try JSONReader(file: path)
    if try root.optional("peft_type") != nil { throw .importIsPEFT(request.source) }
    let config = try root.required("config")
    let architecture = try config.required("architecture")
    guard try architecture.string() == "reft" else {
      throw architecture.fault("'reft': adapters of other kinds are no representation finetuning")
    }
    if let width = try root.optional("hidden_size")?.int(), width != base.configuration.hiddenSize {
      throw .importOtherModel(request.source, width: width, base: base)
    }
    var options: [String: OptionValue] = [:]
    if let rate = try config.optional("dropout") {
      guard let value = rate.node.number, (0..<1).contains(value) else {
        throw rate.fault("a number from 0 to below 1")
      }
      options["dropout"] = .float(value)
    }
    if let activation = try config.optional("non_linearity") {
      let names = ["relu": "relu", "gelu": "gelu", "tanh": "tanh", "swish": "silu", "silu": "silu"]
      guard let known = names[try activation.string()] else {
        throw activation.fault("null, relu, gelu, silu, swish or tanh")
      }
      options["activation"] = .string(known)
    }
    return Configuration(
      prefix: try Self.count(config.required("prefix_positions")),
      suffix: try Self.count(config.required("suffix_positions")),
      isTied: try config.optional("tied_weights")?.bool() ?? false,
      isOrthogonal: try config.required("orthogonality").bool(),
      subtracts: try config.optional("subtract_projection")?.bool(),
      options: options
    )
  }

  private static func count(_ reader: JSONReader) throws(ReFTError) -> Int {
    let value = try reader.int()
    guard (0...65_536).contains(value) else { throw reader.fault("a number from 0 to 65536") }
    return value
  }

  /// The plugin; without `subtract_projection`, which releases up to 1.0 left out of their files, a
  /// DiReFT and a NoReFT look the same.
  private func plugin(_ configuration: Configuration) throws(ReFTError) -> String {
    let possible: [String]
    switch (configuration.isOrthogonal, configuration.subtracts) {
    case (true, true), (true, nil): possible = ["loreft"]
    case (false, true): possible = ["noreft"]
    case (_, false): possible = ["direft"]
    case (false, nil): possible = ["noreft", "direft"]
    }
    if let plugin = request.plugin {
      guard possible.contains(plugin) else {
        throw .importOtherPlugin(request.source, given: plugin, possible: possible)
      }
      return plugin
    }
    guard possible.count == 1 else { throw .pluginNeeded(request.source, possible: possible) }
    return possible[0]
  }

  private func positions(_ configuration: Configuration) throws(ReFTError) -> PositionRule {
    let (first, last) = (configuration.prefix, configuration.suffix)
    let own = PositionRule(.ends(first: first, last: last))
    guard first + last > 0 else { throw .importEditsNothing(request.source) }
    guard let rule = request.positions else { return own }
    guard configuration.isTied || rule.isTwoEnded || !own.isTwoEnded else {
      throw .twoEndsNeeded(request.source, given: rule)
    }
    return rule
  }

  // MARK: - Tensors

  private func open() throws(ReFTError) -> WeightFile {
    let files = FileManager.default
    let safe = request.source + "/adapter.safetensors"
    if files.fileExists(atPath: safe) { return .safetensors(try Safetensors.read(path: safe)) }
    let torch = request.source + "/pytorch_adapter.bin"
    guard files.fileExists(atPath: torch) else {
      throw .importMissing(
        request.source,
        "a folder with pytorch_adapter.bin or adapter.safetensors"
      )
    }
    return .torch(try TorchFile(path: torch))
  }

  /// The beginning of the names of each unit's tensors: `….3.reft_layer.refts.NAME.units.0.`.
  private func places(_ file: WeightFile) throws(ReFTError) -> [Place: String] {
    var result: [Place: String] = [:]
    for name in file.names {
      let parts = name.split(separator: ".", omittingEmptySubsequences: false)
      guard let mark = parts.firstIndex(of: "reft_layer"), mark > 0, parts.count > mark + 5,
        let layer = Int(parts[mark - 1]), layer >= 0, parts[mark + 1] == "refts",
        parts[mark + 3] == "units", let unit = Int(parts[mark + 4]), (0...1).contains(unit)
      else { throw .importHasMore(file.path, name) }
      let prefix = parts[...(mark + 4)].joined(separator: ".") + "."
      guard result.updateValue(prefix, forKey: Place(layer: layer, unit: unit)) ?? prefix == prefix
      else { throw .importHasMore(file.path, name) }
    }
    return result
  }

  private func parameters(
    _ file: WeightFile,
    _ prefix: String,
    _ plugin: String,
    isOrthogonal: Bool
  ) throws(ReFTError) -> [(String, ImportedTensor)] {
    let projection =
      isOrthogonal
      ? try PyreftParameters.rotation(
        file,
        original: prefix + "projection.parametrizations.weight.original",
        base: prefix + "projection.parametrizations.weight.0.base"
      ) : try file.tensor(prefix + "projection.weight", rank: 2)
    return [
      (plugin == "loreft" ? "rotate.weight" : "proj.weight", projection),
      ("source.weight", try file.tensor(prefix + "learned_source.weight", rank: 2)),
      ("source.bias", try file.tensor(prefix + "learned_source.bias", rank: 1)),
    ]
  }
}

extension PositionRule {
  /// Whether an end of the prompt, or all of it, is edited.
  fileprivate var hasPrefix: Bool {
    if case .ends(let first, _) = selection { return first > 0 }
    return true
  }
  fileprivate var hasSuffix: Bool {
    if case .ends(_, let last) = selection { return last > 0 }
    return false
  }
}
