// SPDX-License-Identifier: Apache-2.0
// A stored model as a GGUF file with weights of another number format.

import Foundation
public import ReFTTensor
import Synchronization

/// Writes a model's weights in one number format, and what belongs to them.
///
/// Matrices take the format that was asked for; embeddings and the head, where errors tell most, take
/// Q8_0 beside a quantised one; norms, biases and rows of positions and types stay in float32. A matrix
/// whose rows are no whole blocks of the format takes Q8_0 or F16.
public struct ModelConversion {
  /// Where the numbers of one tensor of the file come from.
  private struct Item {
    var source: StoredTensor?
    /// How a folder's tensor is written; nil for one that stays as it lies.
    var form: GGUFTensors.Form?
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
  private var output = GGUFOutput()
  private var items: [Item] = []
  /// What of the model other programs, or this one, will not find in the file: sentences for people.
  public private(set) var notes: [String] = []

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
    self.source = source
    if let file = source as? GGUFFile {
      for (key, value) in file.outputValues where !Self.isOfFile(key) { output.set(key, value) }
      for tensor in source.tensors {
        try add(tensor, GGUFTensors.Form(name: tensor.name, shape: tensor.shape), as: type)
      }
    } else {
      try add(folder: plan, as: type, text: text)
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
    where tensor.shape.count == 2 && tensor.type != type
      && !Self.isWord(tensor.name) && !Self.isAdded(tensor.name)
    {
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

  /// Adds what a folder's plan reads, and checks that the file says the same.
  private mutating func add(
    folder given: ModelPlan,
    as type: TensorType,
    text: [(key: String, value: GGUFOutputValue)]
  ) throws(ReFTError) {
    let names = try Architectures.fileNames(source)
    var plan = given
    if names.family == "bert", case .classifier(let head) = plan.head, head.activation != .tanh {
      plan.head = .none
      notes.append(
        "the head for classes is left out: GGUF knows heads with tanh, and this one has "
          + head.activation.rawValue
      )
    }
    let keys = GGUFKeys(plan: plan, family: names.family)
    if names.family == "llama", let window = plan.blocks[0].attention.mask.window {
      notes.append(
        "the file names the window of \(window) keys, which reft reads; programs that do not know "
          + "windows of the family 'llama' differ on longer texts"
      )
    }
    for (key, value) in keys.values + text { output.set(key, value) }
    if let factors = keys.rotationFactors {
      output.add(GGUFOutput.Tensor(name: "rope_freqs.weight", type: .f32, shape: [factors.count]))
      items.append(Item(made: factors))
    }
    let tensors = try GGUFTensors(source, plan, names)
    for tensor in source.tensors {
      guard let form = tensors.forms[tensor.name] else { continue }
      try add(tensor, form, as: type)
    }
    let written = try Architectures.plan(GGUFOutline(output, of: source))
    if let difference = plan.difference(from: written) {
      throw .notWritten(difference, family: names.family, source.path)
    }
  }

  private mutating func add(
    _ tensor: StoredTensor,
    _ form: GGUFTensors.Form,
    as type: TensorType
  ) throws(ReFTError) {
    guard tensor.type.blockSize == 1 else {
      throw .quantisedAlready(tensor.name, tensor.type, source.path)
    }
    output.add(
      GGUFOutput.Tensor(
        name: form.name,
        type: Self.type(of: form.name, form.shape, type),
        shape: form.shape
      )
    )
    items.append(Item(source: tensor, form: form))
  }

  private static func isWord(_ name: String) -> Bool {
    name == "token_embd.weight" || name == "output.weight"
  }

  /// Rows that are added to those of words are few, and other readers expect them in F32.
  private static func isAdded(_ name: String) -> Bool {
    name == "position_embd.weight" || name == "token_types.weight"
  }

  private static func type(of name: String, _ shape: [Int], _ type: TensorType) -> TensorType {
    guard shape.count == 2, !isAdded(name), !name.hasSuffix("norm.weight") else { return .f32 }
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

  /// Rows of a tensor as they shall stand in the file; a vector is one row.
  private func values(
    _ item: Item,
    _ tensor: GGUFOutput.Tensor,
    _ rows: Range<Int>,
    columns: Int
  ) -> [Float] {
    guard let source = item.source, let form = item.form, let base = source.bytes.baseAddress else {
      return Array(item.made[rows.lowerBound * columns..<rows.upperBound * columns])
    }
    if form.isTransposed { return transposed(source, base, form, rows, columns: columns) }
    let isVector = tensor.shape.count < 2
    let rowBytes = source.type.byteCount(elements: columns)
    var values = [Float](repeating: 0, count: rows.count * columns)
    values.withUnsafeMutableBufferPointer { buffer in
      guard let out = buffer.baseAddress else { return }
      for row in rows {
        let place = isVector ? row : form.rows?[row] ?? row
        let to = out + (row - rows.lowerBound) * columns
        source.type.dequantize(base + place * rowBytes, count: columns, into: to)
      }
    }
    if isVector, let order = form.rows { values = order.map { values[$0] } }
    return form.offset == 0 ? values : values.map { $0 + form.offset }
  }

  /// The same of a matrix whose columns the folder holds as rows.
  private func transposed(
    _ source: StoredTensor,
    _ base: UnsafeRawPointer,
    _ form: GGUFTensors.Form,
    _ rows: Range<Int>,
    columns: Int
  ) -> [Float] {
    var values = [Float](repeating: 0, count: rows.count * columns)
    var line = [Float](repeating: 0, count: rows.count)
    let start = source.type.byteCount(elements: rows.lowerBound)
    let step = source.type.byteCount(elements: form.shape[0])
    line.withUnsafeMutableBufferPointer { line in
      guard let numbers = line.baseAddress else { return }
      for column in 0..<columns {
        source.type.dequantize(base + start + column * step, count: rows.count, into: numbers)
        for row in 0..<rows.count { values[row * columns + column] = numbers[row] }
      }
    }
    return values
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

  fileprivate static func formatNotWritten(_ type: TensorType, known: [TensorType]) -> ReFTError {
    ReFTError(
      .usage,
      "format \(type) is not written, expected one of "
        + known.map { "\($0)" }.joined(separator: ", ")
    )
  }

  fileprivate static func numberUnfit(
    _ tensor: String,
    _ index: Int,
    _ value: Float,
    _ type: TensorType,
    _ path: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "Tensor '\(tensor)' of model '\(path)' holds \(value) at element \(index), which \(type) cannot "
        + "hold; choose BF16 or F32, or fetch the model again where that is no number."
    )
  }

  fileprivate static func notWritten(
    _ what: String,
    family: String,
    _ path: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "GGUF files of the family '\(family)' cannot say the \(what) of model '\(path)'; use the "
        + "folder as it is."
    )
  }
}
