// SPDX-License-Identifier: Apache-2.0
// The checker's own random numbers: the same seed gives the same numbers on every machine.

import Glibc

/// SplitMix64, with the few draws that the rules need.
struct BenchRandom: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 0x1234_5678_9ABC_DEF1 }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return BenchRandom.mix(state)
  }

  static func mix(_ x: UInt64) -> UInt64 {
    var z = x
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Uniform in [0, 1).
  mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  mutating func normal() -> Double {
    let u = max(uniform(), 1e-300)
    return (-2 * log(u)).squareRoot() * cos(2 * Double.pi * uniform())
  }

  mutating func below(_ n: Int) -> Int { Int(next() % UInt64(max(1, n))) }

  mutating func normals(_ n: Int, scale: Double = 1) -> [Float] {
    var list = [Float]()
    list.reserveCapacity(n)
    for _ in 0..<n { list.append(Float(normal() * scale)) }
    return list
  }

  /// Number `index` of a counter-based stream, uniform in [0, 1): what the host table offers.
  static func streamUniform(_ key: UInt64, _ step: UInt64, _ index: UInt64) -> Float {
    let bits = mix(
      mix(key &+ 0x9E37_79B9_7F4A_7C15) ^ mix(step &* 0xD1B5_4A32_D192_ED03) &+ index
        &* 0x9E37_79B9_7F4A_7C15
    )
    return Float(bits >> 40) * 0x1p-24
  }

  /// The same, standard normal.
  static func streamNormal(_ key: UInt64, _ step: UInt64, _ index: UInt64) -> Float {
    let u = max(streamUniform(key, step, index &* 2), 1e-7)
    let v = streamUniform(key ^ 0xABCD, step, index &* 2 &+ 1)
    return Float((-2 * log(Double(u))).squareRoot() * cos(2 * Double.pi * Double(v)))
  }
}

/// A number for a message: three digits.
func brief(_ x: Double) -> String {
  guard x.isFinite else { return "\(x)" }
  if x == 0 { return "0" }
  if x == x.rounded(), abs(x) < 1e6 { return String(Int(x)) }
  let exponent = Int(floor(log10(abs(x))))
  if exponent >= -2 && exponent < 6 {
    let scale = pow(10.0, Double(max(0, 2 - exponent)))
    return "\((x * scale).rounded() / scale)"
  }
  let mantissa = (x / pow(10, Double(exponent)) * 100).rounded() / 100
  return "\(mantissa)e\(exponent)"
}

func brief(_ x: Float) -> String { brief(Double(x)) }
