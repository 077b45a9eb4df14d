// SPDX-License-Identifier: Apache-2.0
// Numbers in the formats of GGUF files. How blocks are encoded is in CReFTKernels/ref/encode_*.c.

import CReFTKernels

extension TensorType {
  /// Whether this version writes the format.
  public var canEncode: Bool { reft_encode_kernel(rawValue) != nil }

  /// The largest magnitude that the format, or a scale of its blocks, holds.
  private var largest: Float { self == .f32 || self == .bf16 ? .greatestFiniteMagnitude : 65504 }

  /// The first number that the format cannot hold; nil where it holds all of them.
  package func firstUnfit(_ values: UnsafeBufferPointer<Float>) -> Int? {
    let limit = largest
    return values.firstIndex { !(abs($0) <= limit) }
  }

  /// Encodes numbers.
  ///
  /// - Parameters:
  ///   - values: finite numbers, of a magnitude that half precision holds unless the format is
  ///     float32 or bfloat16.
  ///   - destination: takes `byteCount(elements:)` bytes, at any address.
  /// - Precondition: `canEncode`, and the count is a multiple of `blockSize`.
  public func encode(
    _ values: UnsafeBufferPointer<Float>,
    into destination: UnsafeMutableRawPointer
  ) {
    guard let kernel = reft_encode_kernel(rawValue) else {
      preconditionFailure("no encoder for \(self)")
    }
    precondition(values.count % blockSize == 0)
    if let start = values.baseAddress { kernel(start, destination, values.count) }
  }

  /// The encoded blocks of numbers; conditions as for the version for pointers.
  public func encode(_ values: [Float]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: byteCount(elements: values.count)) { bytes, count in
      if let target = bytes.baseAddress {
        values.withUnsafeBufferPointer { encode($0, into: target) }
      }
      count = byteCount(elements: values.count)
    }
  }
}
