// SPDX-License-Identifier: Apache-2.0
// Counter-based random numbers: a pure function of (key, step, offset), so that a run can stop
// anywhere and go on bit for bit.

import Foundation

/// The stream of random numbers that belongs to a key and a step.
///
/// Two rounds of the SplitMix64 finaliser (Steele, Lea and Flood, 2014) over the counter; good
/// enough for initialisation, shuffling, dropout and sampling, not for secrets.
public struct CounterRandom: Sendable {
  private let state: UInt64

  /// Names a stream.
  public init(key: UInt64, step: UInt64 = 0) {
    state = Self.mix(Self.mix(key &+ 0x9E37_79B9_7F4A_7C15) ^ (step &* 0xD1B5_4A32_D192_ED03))
  }

  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// 64 random bits.
  public func bits(offset: UInt64) -> UInt64 {
    Self.mix(Self.mix(state &+ (offset &+ 1) &* 0x9E37_79B9_7F4A_7C15) ^ state)
  }

  /// A number in [0, 1), with 24 random bits.
  public func uniform(offset: UInt64) -> Float {
    Float(bits(offset: offset) >> 40) * 0x1p-24
  }

  /// A standard normal number (Box and Muller, 1958).
  public func normal(offset: UInt64) -> Float {
    let bits = bits(offset: offset)
    let radius = (-2 * log((Double(bits >> 32) + 0.5) * 0x1p-32)).squareRoot()
    return Float(radius * cos(2 * Double.pi * Double(bits & 0xFFFF_FFFF) * 0x1p-32))
  }

  /// An integer in `0..<bound`.
  public func integer(below bound: UInt64, offset: UInt64) -> UInt64 {
    bits(offset: offset).multipliedFullWidth(by: bound).high
  }

  /// Fills memory with uniform numbers number `offset` and following.
  public func fillUniform(_ out: UnsafeMutableBufferPointer<Float>, offset: UInt64 = 0) {
    for index in out.indices { out[index] = uniform(offset: offset &+ UInt64(index)) }
  }

  /// Fills memory with normal numbers number `offset` and following.
  public func fillNormal(_ out: UnsafeMutableBufferPointer<Float>, offset: UInt64 = 0) {
    for index in out.indices { out[index] = normal(offset: offset &+ UInt64(index)) }
  }

  /// The indices `0..<count` in a random order (Fisher and Yates).
  public func permutation(of count: Int) -> [Int] {
    var order = Array(0..<count)
    for index in stride(from: count - 1, to: 0, by: -1) {
      order.swapAt(index, Int(integer(below: UInt64(index + 1), offset: UInt64(index))))
    }
    return order
  }
}
