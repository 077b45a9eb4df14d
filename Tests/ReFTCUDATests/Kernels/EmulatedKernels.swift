// SPDX-License-Identifier: Apache-2.0
// A text of kernels, compiled for this processor and run there, and memory of that card.

import CUDAEmulator
import Foundation
import ReFTCUDA
import ReFTTensor
import Testing

/// How activations are kept.
enum Activations: Int, CaseIterable, Sendable {
  case float32 = 0
  case bfloat16 = 1

  /// How far a rounded number may be from what it stands for, relative to it.
  var rounding: Float { self == .float32 ? 2e-6 : 0x1p-8 }
}

/// Numbers in the memory of the emulated card, between margins that no kernel may touch.
final class CardNumbers {
  private static let margin = 64
  private static let mark: UInt8 = 0xa5

  let format: Activations
  let count: Int
  private let base: UnsafeMutableRawPointer
  private let byteCount: Int

  private init(bytes: Int, count: Int, format: Activations) {
    (byteCount, self.count, self.format) = (bytes, count, format)
    base = .allocate(byteCount: bytes + 2 * Self.margin, alignment: 64)
    base.initializeMemory(as: UInt8.self, repeating: Self.mark, count: bytes + 2 * Self.margin)
  }

  /// Floats, rounded where the format asks for it.
  convenience init(_ numbers: [Float], _ format: Activations = .float32) {
    self.init(
      bytes: numbers.count * (format == .float32 ? 4 : 2),
      count: numbers.count,
      format: format
    )
    for (index, number) in numbers.enumerated() {
      switch format {
      case .float32: pointer.storeBytes(of: number, toByteOffset: 4 * index, as: Float.self)
      case .bfloat16:
        pointer.storeBytes(of: number.bfloat16, toByteOffset: 2 * index, as: UInt16.self)
      }
    }
  }

  /// Any values as they lie in memory.
  convenience init<T>(values: [T]) {
    self.init(bytes: values.count * MemoryLayout<T>.stride, count: values.count, format: .float32)
    values.withUnsafeBytes {
      UnsafeMutableRawBufferPointer(start: pointer, count: $0.count).copyBytes(from: $0)
    }
  }

  /// Whole numbers as the kernels' int.
  convenience init(integers: [Int]) { self.init(values: integers.map(Int32.init)) }

  /// Room for results; what is there is NaN.
  convenience init(room count: Int, _ format: Activations = .float32) {
    self.init([Float](repeating: .nan, count: count), format)
  }

  deinit { base.deallocate() }

  var pointer: UnsafeMutableRawPointer { base + Self.margin }

  /// What is there, as floats.
  var floats: [Float] {
    (0..<count).map { index in
      switch format {
      case .float32: pointer.load(fromByteOffset: 4 * index, as: Float.self)
      case .bfloat16:
        Float(
          bitPattern: UInt32(pointer.load(fromByteOffset: 2 * index, as: UInt16.self)) << 16
        )
      }
    }
  }

  /// What is there, as whole numbers.
  var integers: [Int32] {
    (0..<count).map { pointer.load(fromByteOffset: 4 * $0, as: Int32.self) }
  }

  /// Whether nobody wrote beside the numbers.
  var isIntact: Bool {
    let bytes = UnsafeRawBufferPointer(start: base, count: byteCount + 2 * Self.margin)
    return bytes.prefix(Self.margin).allSatisfy { $0 == Self.mark }
      && bytes.suffix(Self.margin).allSatisfy { $0 == Self.mark }
  }
}

extension Float {
  /// The bits of the next bfloat16; ties to even.
  fileprivate var bfloat16: UInt16 {
    UInt16(truncatingIfNeeded: (bitPattern + 0x7fff + (bitPattern >> 16 & 1)) >> 16)
  }

  /// The next bfloat16.
  var rounded16: Float { Float(bitPattern: UInt32(bfloat16) << 16) }
}

/// What a kernel is given.
enum CardArgument {
  case numbers(CardNumbers?)
  /// Memory from one of its numbers on.
  case part(CardNumbers, from: Int)
  case int(Int)
  case long(Int)
  /// A struct by value; the kernel must have no other argument.
  case structure([UInt8])
  case float(Float)
}

/// A C struct, field by field.
struct CStructure {
  private(set) var bytes: [UInt8] = []

  mutating func add<T: BitwiseCopyable>(_ value: T) {
    let size = MemoryLayout<T>.size
    bytes += [UInt8](repeating: 0, count: (size - bytes.count % size) % size)
    withUnsafeBytes(of: value) { bytes += $0 }
  }

  mutating func add(_ numbers: CardNumbers?) {
    add(UInt64(UInt(bitPattern: numbers?.pointer)))
  }

  /// A struct that pointers align.
  mutating func add(_ structure: CStructure) {
    bytes += [UInt8](repeating: 0, count: (8 - bytes.count % 8) % 8) + structure.bytes
  }

  mutating func add(integers: Int...) { integers.forEach { add(Int32($0)) } }
}

/// A text, compiled.
struct EmulatedKernels {
  private let module: OpaquePointer

  /// Compiles a text, or finds it among those already compiled.
  init(_ source: KernelSource, _ defines: [String: Int] = [:]) throws {
    let options = defines.sorted { $0.key < $1.key }.map { strdup("-D\($0.key)=\($0.value)") }
    defer { options.forEach { free($0) } }
    let texts = options.map { UnsafePointer($0) }
    var log: UnsafeMutablePointer<CChar>?
    let module = reft_emulator_compile(source.text, texts, Int32(texts.count), &log)
    defer { free(log) }
    self.module = try #require(module, "\(source.name): \(log.map { String(cString: $0) } ?? "")")
  }

  /// The same for a format of activations.
  init(_ source: KernelSource, _ activations: Activations, _ defines: [String: Int] = [:]) throws {
    try self.init(source, defines.merging(["REFT_ACT": activations.rawValue]) { $1 })
  }

  /// Runs one kernel, and looks that it kept within its memory.
  func run(
    _ name: String,
    grid: (Int, Int, Int) = (2, 1, 1),
    block: Int = 64,
    sharedBytes: Int = 0,
    _ arguments: CardArgument...,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    try run(
      name,
      grid: grid,
      block: block,
      sharedBytes: sharedBytes,
      arguments,
      sourceLocation: sourceLocation
    )
  }

  /// The same with the arguments as a list.
  func run(
    _ name: String,
    grid: (Int, Int, Int),
    block: Int,
    sharedBytes: Int,
    _ arguments: [CardArgument],
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let function = try #require(reft_emulator_function(module, name), "no kernel '\(name)'")
    let cells = UnsafeMutablePointer<UInt64>.allocate(capacity: arguments.count + 32)
    defer { cells.deallocate() }
    for (index, argument) in arguments.enumerated() {
      let cell = UnsafeMutableRawPointer(cells + index)
      switch argument {
      case .numbers(let numbers):
        cell.storeBytes(of: numbers?.pointer, as: UnsafeMutableRawPointer?.self)
      case .part(let numbers, let first):
        let place = numbers.pointer + first * (numbers.format == .float32 ? 4 : 2)
        cell.storeBytes(of: place, as: UnsafeMutableRawPointer.self)
      case .structure(let bytes): cell.copyMemory(from: bytes, byteCount: min(bytes.count, 256))
      case .long(let value): cell.storeBytes(of: Int64(value), as: Int64.self)
      case .int(let value): cell.storeBytes(of: Int32(value), as: Int32.self)
      case .float(let value): cell.storeBytes(of: value, as: Float.self)
      }
    }
    var addresses = arguments.indices.map { Optional(UnsafeMutableRawPointer(cells + $0)) }
    let status = reft_emulator_launch(
      function,
      [UInt32(grid.0), UInt32(grid.1), UInt32(grid.2)],
      [UInt32(block), 1, 1],
      UInt32(sharedBytes),
      &addresses
    )
    #expect(status == 0, "\(name) ended with \(status)", sourceLocation: sourceLocation)
    for argument in arguments {
      let numbers: CardNumbers?
      switch argument {
      case .numbers(let all): numbers = all
      case .part(let all, _): numbers = all
      case .int, .long, .float, .structure: numbers = nil
      }
      let isIntact = numbers?.isIntact ?? true
      #expect(isIntact, "\(name) wrote beside its memory", sourceLocation: sourceLocation)
    }
  }
}
