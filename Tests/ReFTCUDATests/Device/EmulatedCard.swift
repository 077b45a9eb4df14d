// SPDX-License-Identifier: Apache-2.0
// The emulated card of the tests: a library beside the test bundle with the functions of CUDA's
// three, which compute on the calling thread.

import Foundation
import ReFTCUDA
import ReFTTensor
import Testing
import _ReFTTestSupport

/// The emulated card, and what can be asked of it beside CUDA's functions.
enum EmulatedCard {
  /// The path of the library.
  static let path = (BuiltPlugins.folder ?? ".") + "/libCUDAEmulator.so"

  static var libraries: CUDALibraries { .emulated(path) }

  /// Opens a card: number 0 is large, number 1 has 64 MiB.
  static func open(_ ordinal: Int = 0, cache: String? = nil) throws -> CUDADevice {
    try CUDADevice.open(
      ordinal,
      libraries: libraries,
      cache: cache.map { URL(fileURLWithPath: $0, isDirectory: true) }
    )
  }

  /// How often this thread has called a function of CUDA.
  static func calls(_ name: String) throws -> Int {
    typealias Function = @convention(c) (UnsafePointer<CChar>) -> Int
    return try function("reft_emulated_calls", as: Function.self)(name)
  }

  /// Lets the nth call of a function from now fail on this thread.
  static func fail(_ name: String, _ nth: Int32 = 1) throws {
    typealias Function = @convention(c) (UnsafePointer<CChar>, Int32) -> Void
    try function("reft_emulated_fail", as: Function.self)(name, nth)
  }

  private static func function<Function>(_ name: String, as type: Function.Type) throws -> Function
  {
    let handle = try #require(dlopen(path, RTLD_NOW), "no \(path)")
    return unsafeBitCast(try #require(dlsym(handle, name)), to: type)
  }
}

extension CUDADevice {
  /// Device memory with the bytes of numbers.
  func upload<Number: BitwiseCopyable>(_ values: [Number]) throws -> DeviceMemory {
    let byteCount = values.count * MemoryLayout<Number>.stride
    let memory = try allocate(byteCount, for: "numbers of a test")
    try values.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress { try copyIn(base, byteCount, to: memory.pointer) }
    }
    return memory
  }

  /// Numbers from device memory, once everything that was asked for is done.
  func download<Number: BitwiseCopyable>(
    _ memory: DeviceMemory,
    _ count: Int,
    of zero: Number
  ) throws -> [Number] {
    var values = [Number](repeating: zero, count: count)
    let byteCount = count * MemoryLayout<Number>.stride
    try values.withUnsafeMutableBytes { bytes in
      if let base = bytes.baseAddress { try copyOut(memory.pointer, byteCount, to: base) }
    }
    try synchronise()
    return values
  }
}

/// The upper half of a float, rounded to even.
func bfloat16(_ value: Float) -> UInt16 {
  let bits = value.bitPattern
  return UInt16(truncatingIfNeeded: (bits + 0x7fff + (bits >> 16 & 1)) >> 16)
}

/// The float of an upper half.
func float(_ bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

/// The message of the error that a closure throws.
func message(_ body: () throws -> Void) -> String {
  do {
    try body()
  } catch {
    return "\(error)"
  }
  return "no error"
}
