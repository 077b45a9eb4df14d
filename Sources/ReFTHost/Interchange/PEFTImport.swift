// SPDX-License-Identifier: Apache-2.0
// A LoRA of PEFT: adapter_config.json beside adapter_model.safetensors or adapter_model.bin.

import Foundation
import ReFTModel
import ReFTTensor

/// Reads a folder of PEFT.
struct PEFTImport {
  let request: AdapterImport
  let base: BaseModel

  /// What stands before all names in PEFT's files.
  static let prefix = "base_model.model."

  /// The end of a matrix's name, and what it is here.
  static let matrices = [
    (ending: ".lora_A.weight", name: "A"), (ending: ".lora_B.weight", name: "B"),
  ]

  init(_ request: AdapterImport, base: BaseModel) { (self.request, self.base) = (request, base) }

  func read() throws(ReFTError) -> ImportedAdapter {
    try request.refuseConvention()
    try request.refuseEdits()
    let shape = base.configuration
    guard let names = ModuleNames(architecture: shape.architecture) else {
      throw .peftFamily(request.source, shape.architecture)
    }
    let configuration = try PEFTConfiguration(folder: request.source)
    let file = try open()
    var result = ImportedAdapter()
    var (layers, targets): (Set<Int>, Set<BlockProjection>) = ([], [])
    for name in file.names.sorted() {
      guard let (place, matrix) = Self.place(of: name, names),
        shape.projections.contains(place.projection)
      else { throw .peftModule(file.path, name, names.modules.values.sorted()) }
      layers.insert(place.block)
      targets.insert(place.projection)
      var tensor = try file.tensor(name, rank: 2)
      let heads = (count: shape.heads, size: shape.headSize)
      if matrix == "B", let order = names.rowOrder(of: place.projection, heads),
        order.count == tensor.shape[0]
      {
        tensor = tensor.rows(order)
      }
      let projection = place.projection.rawValue
      result.add([(matrix, tensor)], of: .lora(block: place.block, projection: projection))
    }
    result.lora = LoRASpec(
      rank: configuration.rank,
      alpha: configuration.alpha,
      dropout: configuration.dropout,
      targets: Array(targets),
      layers: layers.sorted(),
      isRankStabilized: configuration.isRankStabilized
    )
    return result
  }

  /// Where a tensor belongs, and which of the two it is; nil for any other name.
  private static func place(
    of name: String,
    _ names: ModuleNames
  ) -> (place: (block: Int, projection: BlockProjection), matrix: String)? {
    guard name.hasPrefix(prefix),
      let matrix = matrices.first(where: { name.hasSuffix($0.ending) })
    else { return nil }
    let module = name.dropFirst(prefix.count).dropLast(matrix.ending.count)
    return names.place(ofModule: String(module)).map { ($0, matrix.name) }
  }

  private func open() throws(ReFTError) -> WeightFile {
    let files = FileManager.default
    let safe = request.source + "/adapter_model.safetensors"
    if files.fileExists(atPath: safe) { return .safetensors(try Safetensors.read(path: safe)) }
    let torch = request.source + "/adapter_model.bin"
    guard files.fileExists(atPath: torch) else {
      throw .importMissing(
        request.source,
        "a folder with adapter_model.safetensors or adapter_model.bin"
      )
    }
    return .torch(try TorchFile(path: torch))
  }
}

extension ImportedTensor {
  /// A matrix of some of the rows, in their order.
  func rows(_ order: [Int]) -> ImportedTensor {
    let width = shape[1]
    let picked = order.flatMap { values[$0 * width..<($0 + 1) * width] }
    return ImportedTensor(shape: [order.count, width], values: picked)
  }
}

extension AdapterImport {
  /// Refuses what says something of edits, of which a LoRA has none.
  fileprivate func refuseEdits() throws(ReFTError) {
    if positions != nil { throw .importOptionUnused("--positions", format: format) }
    if plugin != nil { throw .importOptionUnused("--plugin", format: format) }
    if !options.isEmpty { throw .importOptionUnused("--option", format: format) }
  }
}
