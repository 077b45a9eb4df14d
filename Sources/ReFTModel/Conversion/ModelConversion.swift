// SPDX-License-Identifier: Apache-2.0
// A stored model as a GGUF file with weights of another number format.

import Foundation
public import ReFTTensor
import Synchronization

/// Writes a model's weights in one number format, and what belongs to them.
///
/// Matrices take the format that was asked for; embeddings and the head, where errors tell most, take
/// Q8_0 beside a quantised one; norms and biases stay in float32. A matrix whose rows are no whole
/// blocks of the format takes Q8_0 or F16.
public struct ModelConversion {
  /// One tensor of the file, and where its numbers come from.
  private struct Item {
    var source: StoredTensor?
    /// The numbers of a tensor that the source does not have.
    var made: [Float] = []
  }

  /// The formats that are written.
  public static let types = TensorType.allCases.filter(\.canEncode)
  /// Numbers of one piece of work, about.
  private static let pieceSize = 1 << 16
  /// Pieces that are in memory at once.
  private static let pieceCount = 64

  private let source: any TensorSource
  private let naming: GGUFNaming?
  private let headSize: Int
  private var output = GGUFOutput()
  private var items: [Item] = []

  /// Plans the file.
  ///
  /// - Parameters:
  ///   - source: a folder, or a GGUF file with weights in F32, F16 or BF16.
  ///   - type: the format of matrices.
  ///   - text: the keys that say something of words; a GGUF file keeps its own.
  /// - Throws: `usage` for a format that is not written, `badData` for a model that is not run or not
  ///   written, or whose weights are quantised already.
  public init(
    _ source: any TensorSource,
    as type: TensorType,
    text: [(key: String, value: GGUFOutputValue)]
  ) throws(ReFTError) {
    guard type.canEncode else { throw .formatNotWritten(type, known: Self.types) }
    let plan = try Architectures.plan(source)
    let sizes = ModelConfiguration(plan, fileType: "\(type)")
    self.source = source
    headSize = sizes.headSize
    let isTied = plan.isTied
    if let file = source as? GGUFFile {
      naming = nil
      for (key, value) in file.outputValues where !Self.isOfFile(key) { output.set(key, value) }
      for tensor in source.tensors { try add(tensor, tensor.name, as: type) }
    } else {
      // A llama's file has no key for windows.
      if sizes.architecture == "llama",
        plan.blocks.contains(where: { $0.attention.mask != .causal })
      {
        throw .familyNotWritten(
          "mistral with a window",
          known: GGUFNaming.known,
          source.path
        )
      }
      let names = try Architectures.fileNames(source)
      let naming = try GGUFNaming(
        source,
        family: sizes.architecture,
        names: names,
        layers: sizes.layers
      )
      self.naming = naming
      let keys = GGUFKeys(source, names, sizes)
      for (key, value) in try keys.values() + text { output.set(key, value) }
      if let factors = try keys.rotationFactors() {
        output.add(GGUFOutput.Tensor(name: "rope_freqs.weight", type: .f32, shape: [factors.count]))
        items.append(Item(made: factors))
      }
      for tensor in source.tensors where !tensor.name.hasSuffix(".inv_freq") {
        guard let name = naming.name(of: tensor.name) else {
          throw .tensorNotWritten(tensor.name, source.path)
        }
        // A folder may hold a copy of the embedding as a head that it does not use.
        if isTied, name == "output.weight" { continue }
        try add(tensor, name, as: type)
      }
    }
    output.set("general.file_type", .uint32(Self.fileType(type)))
    output.set("general.quantization_version", .uint32(2))
  }

  /// The bytes of the tensors that will be written.
  public var byteCount: Int { output.tensors.reduce(0) { $0 + $1.byteCount } }

  /// How many matrices have a format in place of the one that was asked for, by format.
  public func replacements(of type: TensorType) -> [TensorType: Int] {
    var counts: [TensorType: Int] = [:]
    for tensor in output.tensors
    where tensor.shape.count == 2 && tensor.type != type && !Self.isWord(tensor.name) {
      counts[tensor.type, default: 0] += 1
    }
    return counts
  }

  /// Writes the file; the one that was there before stays until the new one is whole.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - pool: the threads that encode.
  ///   - progress: receives how many bytes of how many are written.
  /// - Throws: `badData` naming a number that the format cannot hold, `inputOutput`.
  public func write(
    to path: String,
    pool: ThreadPool = .shared,
    progress: (_ done: Int, _ all: Int) -> Void = { _, _ in }
  ) throws(ReFTError) {
    let all = byteCount
    var done = 0
    try output.write(to: path) { tensor, index, writer throws(ReFTError) in
      try write(tensor, items[index], writer, pool) { count in
        done += count
        progress(done, all)
      }
    }
    withExtendedLifetime(source) {}
  }

  // MARK: Planning

  /// Keys that say how the file itself is stored.
  private static func isOfFile(_ key: String) -> Bool {
    key.hasPrefix("split.") || key == "general.alignment"
  }

  private mutating func add(
    _ tensor: StoredTensor,
    _ name: String,
    as type: TensorType
  ) throws(ReFTError) {
    guard tensor.type.blockSize == 1 else {
      throw .quantisedAlready(tensor.name, tensor.type, source.path)
    }
    output.add(
      GGUFOutput.Tensor(
        name: name,
        type: Self.type(of: name, tensor.shape, type),
        shape: tensor.shape
      )
    )
    items.append(Item(source: tensor))
  }

  private static func isWord(_ name: String) -> Bool {
    name == "token_embd.weight" || name == "output.weight"
  }

  private static func type(of name: String, _ shape: [Int], _ type: TensorType) -> TensorType {
    guard shape.count == 2, !name.hasSuffix("norm.weight") else { return .f32 }
    let wanted = isWord(name) && type.blockSize > 1 ? TensorType.q8_0 : type
    for candidate in [wanted, .q8_0] where shape[1] % candidate.blockSize == 0 { return candidate }
    return .f16
  }

  /// The number that `general.file_type` has for a format.
  private static func fileType(_ type: TensorType) -> UInt32 {
    switch type {
    case .f32: 0
    case .f16: 1
    case .q4_0: 2
    case .q4_1: 3
    case .q8_0: 7
    case .q5_0: 8
    case .q5_1: 9
    case .q4_K: 14
    case .q5_K: 16
    case .q6_K: 18
    case .bf16: 32
    case .q2_K, .q3_K, .iq4_nl, .iq4_xs: 1024
    }
  }

  // MARK: Writing

  private func write(
    _ tensor: GGUFOutput.Tensor,
    _ item: Item,
    _ writer: borrowing AtomicFile.Writer,
    _ pool: ThreadPool,
    _ progress: (Int) -> Void
  ) throws(ReFTError) {
    let columns = max(1, tensor.shape.last ?? 1)
    let rows = tensor.shape.reduce(1, *) / columns
    let rowBytes = tensor.type.byteCount(elements: columns)
    let pieceRows = max(1, Self.pieceSize / columns)
    for first in stride(from: 0, to: rows, by: pieceRows * Self.pieceCount) {
      let count = min(rows - first, pieceRows * Self.pieceCount)
      let slab = ByteSlab(count: count * rowBytes)
      let fault = Mutex<(index: Int, value: Float)?>(nil)
      pool.run((count + pieceRows - 1) / pieceRows) { piece in
        let start = first + piece * pieceRows
        let range = start..<min(first + count, start + pieceRows)
        let values = values(item, tensor, range, columns: columns)
        values.withUnsafeBufferPointer { values in
          if let place = tensor.type.firstUnfit(values) {
            let index = start * columns + place
            fault.withLock { if index < $0?.index ?? .max { $0 = (index, values[place]) } }
          } else {
            tensor.type.encode(values, into: slab.base + (start - first) * rowBytes)
          }
        }
      }
      if let fault = fault.withLock({ $0 }) {
        throw .numberUnfit(tensor.name, fault.index, fault.value, tensor.type, source.path)
      }
      try writer.write(UnsafeRawBufferPointer(start: slab.base, count: slab.count))
      progress(slab.count)
    }
  }

  /// Rows of a tensor as they shall stand in the file.
  private func values(
    _ item: Item,
    _ tensor: GGUFOutput.Tensor,
    _ rows: Range<Int>,
    columns: Int
  ) -> [Float] {
    guard let source = item.source, let base = source.bytes.baseAddress else {
      return Array(item.made[rows.lowerBound * columns..<rows.upperBound * columns])
    }
    // A vector is a row, and what is reordered of it are its numbers.
    let isVector = tensor.shape.count < 2
    let count = rows.count * columns
    var values = [Float](repeating: 0, count: count)
    values.withUnsafeMutableBufferPointer { buffer in
      guard let out = buffer.baseAddress else { return }
      for row in rows {
        var place = row
        if let naming, !isVector {
          place = naming.sourceRow(of: row, in: tensor.name, headSize: headSize)
        }
        let from = base + place * source.type.byteCount(elements: columns)
        source.type.dequantize(from, count: columns, into: out + (row - rows.lowerBound) * columns)
      }
    }
    guard let naming else { return values }
    if isVector {
      values = values.indices.map {
        values[naming.sourceRow(of: $0, in: tensor.name, headSize: headSize)]
      }
    }
    let offset = naming.offset(in: tensor.name)
    return offset == 0 ? values : values.map { $0 + offset }
  }
}

/// Bytes that several threads fill, each a part of its own.
private final class ByteSlab: @unchecked Sendable {
  // Sendable: threads write to parts that do not meet, and nobody reads before they are done.
  let base: UnsafeMutableRawPointer
  let count: Int

  init(count: Int) {
    self.count = count
    base = .allocate(byteCount: max(1, count), alignment: 64)
  }

  deinit { base.deallocate() }
}

extension ReFTError {
  fileprivate static func quantisedAlready(
    _ tensor: String,
    _ type: TensorType,
    _ path: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "Tensor '\(tensor)' of model '\(path)' is quantised already, to \(type); expected F32, F16 or "
        + "BF16. Start from the unquantised model, since errors would add up."
    )
  }
}
