// SPDX-License-Identifier: Apache-2.0
// pyreft's interventions and ours. Trap: the paper's DiReFT is what pyreft calls Nodireft; its Direft
// keeps the projection orthonormal.

import ReFTTensor

/// An intervention of pyreft 0.1.
enum PyreftClass: String, CaseIterable {
  case loreft = "LoreftIntervention"
  case noreft = "NoreftIntervention"
  case consreft = "ConsreftIntervention"
  case lobireft = "LobireftIntervention"
  case direft = "DireftIntervention"
  case nodireft = "NodireftIntervention"

  /// The class as config.json names it.
  var typeText: String { "<class 'pyreft.interventions.\(rawValue)'>" }

  init?(typeText: String) {
    guard let found = Self.allCases.first(where: { $0.typeText == typeText }) else { return nil }
    self = found
  }

  /// The class of one of our plugins with options.
  init?(plugin: String, options: [String: OptionValue]) {
    switch plugin {
    case "loreft": self = .loreft
    case "noreft": self = .noreft
    case "consreft": self = .consreft
    case "lobireft": self = .lobireft
    case "direft": self = options["orthogonal"] == .flag(true) ? .direft : .nodireft
    default: return nil
    }
  }

  /// Our plugin.
  var plugin: String {
    switch self {
    case .loreft: "loreft"
    case .noreft: "noreft"
    case .consreft: "consreft"
    case .lobireft: "lobireft"
    case .direft, .nodireft: "direft"
    }
  }

  /// What our parameter with the projection is called.
  var projection: String {
    switch self {
    case .loreft, .consreft, .lobireft: "rotate.weight"
    case .noreft, .direft, .nodireft: "proj.weight"
    }
  }

  /// Whether pyreft keeps R parametrised in its file.
  var isParametrised: Bool { self == .consreft || self == .lobireft || self == .direft }
}

/// The parameters of one of pyreft's files, as ours.
struct PyreftParameters {
  /// The options that the shapes and names tell.
  private(set) var options: [String: OptionValue] = [:]
  /// Our names and tensors.
  private(set) var tensors: [(String, ImportedTensor)] = []
  /// What was left behind.
  private(set) var note: String?

  private static let original = "rotate_layer.parametrizations.weight.original"
  private static let base = "rotate_layer.parametrizations.weight.0.base"
  private static let sizes: Set = ["embed_dim", "interchange_dim"]

  /// Reads the file of an intervention.
  init(_ kind: PyreftClass, _ file: WeightFile) throws(ReFTError) {
    var known = Self.sizes
    let projection: ImportedTensor
    switch kind {
    case .loreft:
      projection = try file.tensor("rotate_layer", rank: 2).transposed
      try addSource(file, weight: "weight", bias: "bias")
      known.formUnion(["rotate_layer", "weight", "bias"])
    case .noreft, .nodireft:
      projection = try file.tensor("proj_layer.weight", rank: 2)
      try addSource(file, weight: "learned_source.weight", bias: "learned_source.bias")
      known.formUnion([
        "proj_layer.weight", "proj_layer.bias", "learned_source.weight", "learned_source.bias",
      ])
      try addBias(kind, file)
    case .direft, .consreft, .lobireft:
      projection = try Self.rotation(file)
      known.formUnion([Self.original, Self.base])
      if kind == .direft {
        try addSource(file, weight: "learned_source.weight", bias: "learned_source.bias")
        known.formUnion(["learned_source.weight", "learned_source.bias"])
        options["orthogonal"] = .flag(true)
      } else {
        tensors.append(("source.bias", try file.tensor("learned_source", rank: 1)))
        known.insert("learned_source")
      }
    }
    options["rank"] = .int(Int64(projection.shape[0]))
    tensors.append((kind.projection, projection))
    if let name = file.names.first(where: { !known.contains($0) }) {
      throw .importHasMore(file.path, name)
    }
  }

  private mutating func addSource(
    _ file: WeightFile,
    weight: String,
    bias: String
  ) throws(ReFTError) {
    tensors.append(("source.weight", try file.tensor(weight, rank: 2)))
    tensors.append(("source.bias", try file.tensor(bias, rank: 1)))
  }

  private mutating func addBias(_ kind: PyreftClass, _ file: WeightFile) throws(ReFTError) {
    guard file.shape("proj_layer.bias") != nil else { return }
    if kind == .noreft {
      options["bias"] = .flag(true)
      tensors.append(("proj.bias", try file.tensor("proj_layer.bias", rank: 1)))
    } else {
      note = "proj_layer.bias is left behind: \(kind.rawValue) never uses it"
    }
  }

  /// R from the two tensors that torch keeps, as r × d.
  static func rotation(
    _ file: WeightFile,
    original: String = Self.original,
    base: String = Self.base
  ) throws(ReFTError) -> ImportedTensor {
    let factor = try file.tensor(original, rank: 2)
    let isWide = factor.shape[0] < factor.shape[1]
    let tall = isWide ? factor.transposed : factor
    let frame = try file.tensor(base, rank: 2)
    guard let columns = OrthogonalWeight.columns(original: tall, base: frame) else {
      throw .importedRotation(file.path, original: factor.shape, base: frame.shape)
    }
    return columns.transposed
  }

  /// The tensors of a file of pyreft's, from ours.
  static func items(
    _ kind: PyreftClass,
    _ tensors: [String: ImportedTensor]
  ) -> [TorchItem]? {
    guard let projection = tensors[kind.projection], let bias = tensors["source.bias"] else {
      return nil
    }
    func item(_ name: String, _ tensor: ImportedTensor) -> TorchItem {
      TorchItem(name, shape: tensor.shape, tensor.values)
    }
    let width = projection.shape[1]
    var items: [TorchItem] = []
    if kind != .loreft { items = Self.sizes.sorted().map { TorchItem($0, width) } }
    if kind.isParametrised {
      let (original, base) = OrthogonalWeight.parametrised(projection.transposed)
      items += [item(Self.original, original), item(Self.base, base)]
    }
    switch kind {
    case .consreft, .lobireft: return items + [item("learned_source", bias)]
    case .loreft:
      guard let weight = tensors["source.weight"] else { return nil }
      return [
        item("weight", weight), item("bias", bias), item("rotate_layer", projection.transposed),
      ]
    case .direft, .noreft, .nodireft:
      guard let weight = tensors["source.weight"] else { return nil }
      if !kind.isParametrised { items.append(item("proj_layer.weight", projection)) }
      if let offset = tensors["proj.bias"] { items.append(item("proj_layer.bias", offset)) }
      return items + [item("learned_source.weight", weight), item("learned_source.bias", bias)]
    }
  }
}
