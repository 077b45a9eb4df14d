// SPDX-License-Identifier: Apache-2.0
// The activation and softmax kernels, with their derivatives.

import CReFTKernels
import _ReFTTestSupport

extension KernelCase {
  static let activations: [KernelCase] = [
    KernelCase(name: "silu", family: .activations, sizes: oneSize, warn: 5e-7, fail: 2e-6) {
      size,
      offset,
      random in
      let gate = gates(size[0], offset, &random)
      let a = KernelMemory(size[0], offset: offset, &random)
      reft_silu_f32(size[0], gate.base, a.base)
      return a.contents
    },
    KernelCase(name: "swiglu", family: .activations, sizes: oneSize, warn: 5e-7, fail: 2e-6) {
      size,
      offset,
      random in
      let gate = gates(size[0], offset, &random)
      let up = KernelMemory(size[0], offset: offset, &random)
      let h = KernelMemory(size[0], offset: offset, &random)
      reft_swiglu_f32(size[0], gate.base, up.base, h.base)
      return h.contents
    },
    KernelCase(
      name: "swiglu_backward",
      family: .activations,
      sizes: combinations(Array(0...70), [0, 1]),
      warn: 3e-6,
      fail: 1e-5
    ) { size, offset, random in
      let gate = gates(size[0], offset, &random)
      let up = KernelMemory(size[0], offset: offset, &random)
      let dh = KernelMemory(size[0], offset: offset, &random)
      // The results may take the place of the inputs.
      let isInPlace = size[1] == 1
      let dgate = isInPlace ? gate : KernelMemory(size[0], offset: offset, &random)
      let dup = isInPlace ? up : KernelMemory(size[0], offset: offset, &random)
      reft_swiglu_backward_f32(size[0], gate.base, up.base, dh.base, dgate.base, dup.base)
      return dgate.contents + dup.contents + dh.contents
    },
    KernelCase(
      name: "silu_backward",
      family: .activations,
      sizes: combinations(Array(0...70), [0, 1]),
      warn: 3e-6,
      fail: 1e-5
    ) { size, offset, random in
      let gate = gates(size[0], offset, &random)
      let da = KernelMemory(size[0], offset: offset, &random)
      let dgate = size[1] == 1 ? gate : KernelMemory(size[0], offset: offset, &random)
      reft_silu_backward_f32(size[0], gate.base, da.base, dgate.base)
      return dgate.contents
    },
    KernelCase(name: "gelu", family: .activations, sizes: oneSize, warn: 1e-6, fail: 5e-6) {
      size,
      offset,
      random in
      let gate = gates(size[0], offset, &random)
      let a = KernelMemory(size[0], offset: offset, &random)
      reft_gelu_f32(size[0], gate.base, a.base)
      return a.contents
    },
    KernelCase(name: "geglu", family: .activations, sizes: oneSize, warn: 1e-6, fail: 5e-6) {
      size,
      offset,
      random in
      let gate = gates(size[0], offset, &random)
      let up = KernelMemory(size[0], offset: offset, &random)
      let h = KernelMemory(size[0], offset: offset, &random)
      reft_geglu_f32(size[0], gate.base, up.base, h.base)
      return h.contents
    },
    KernelCase(
      name: "geglu_backward",
      family: .activations,
      sizes: combinations(Array(0...70), [0, 1]),
      warn: 3e-6,
      fail: 2e-5
    ) { size, offset, random in
      let gate = gates(size[0], offset, &random)
      let up = KernelMemory(size[0], offset: offset, &random)
      let dh = KernelMemory(size[0], offset: offset, &random)
      let isInPlace = size[1] == 1
      let dgate = isInPlace ? gate : KernelMemory(size[0], offset: offset, &random)
      let dup = isInPlace ? up : KernelMemory(size[0], offset: offset, &random)
      reft_geglu_backward_f32(size[0], gate.base, up.base, dh.base, dgate.base, dup.base)
      return dgate.contents + dup.contents + dh.contents
    },
    KernelCase(
      name: "gelu_backward",
      family: .activations,
      sizes: combinations(Array(0...70), [0, 1]),
      warn: 3e-6,
      fail: 2e-5
    ) { size, offset, random in
      let gate = gates(size[0], offset, &random)
      let da = KernelMemory(size[0], offset: offset, &random)
      let dgate = size[1] == 1 ? gate : KernelMemory(size[0], offset: offset, &random)
      reft_gelu_backward_f32(size[0], gate.base, da.base, dgate.base)
      return dgate.contents
    },
    KernelCase(name: "gelu_erf", family: .activations, sizes: oneSize, warn: 1e-6, fail: 5e-6) {
      size,
      offset,
      random in
      let x = gates(size[0], offset, &random)
      let a = KernelMemory(size[0], offset: offset, &random)
      reft_gelu_erf_f32(size[0], x.base, a.base)
      return a.contents
    },
    KernelCase(
      name: "gelu_erf_backward",
      family: .activations,
      sizes: combinations(Array(0...70), [0, 1]),
      warn: 3e-6,
      fail: 2e-5
    ) { size, offset, random in
      let x = gates(size[0], offset, &random)
      let da = KernelMemory(size[0], offset: offset, &random)
      let dx = size[1] == 1 ? x : KernelMemory(size[0], offset: offset, &random)
      reft_gelu_erf_backward_f32(size[0], x.base, da.base, dx.base)
      return dx.contents
    },
  ]

  /// Gates from −∞-like to ∞-like: the exponential is clamped at ±87, and must not show it.
  private static func gates(
    _ count: Int,
    _ offset: Int,
    _ random: inout SeededGenerator
  ) -> KernelMemory {
    let memory = KernelMemory(count, offset: offset, &random, scale: 4)
    for (index, value) in [-100, 100, 0, -88, 88, -30].enumerated() where index * 11 < count {
      memory.base[index * 11] = Float(value)
    }
    return memory
  }

  static let softmax: [KernelCase] = [
    KernelCase(
      name: "softmax",
      family: .softmax,
      sizes: combinations(Array(1...70), [0, 5]),
      warn: 1e-6,
      fail: 5e-6
    ) { size, offset, random in
      let (n, padded) = (size[0], size[0] + size[1])
      let s = KernelMemory(padded, offset: offset, &random, scale: 20)
      var logSumExp: Float = 0
      let sum = reft_softmax_f32(n, padded, 0.4, s.base, &logSumExp)
      return s.contents + [sum, logSumExp]
    },
    KernelCase(
      name: "exp_scores",
      family: .softmax,
      sizes: combinations(Array(0...70), [0, 5]),
      warn: 2e-6,
      fail: 1e-5
    ) { size, offset, random in
      let (n, padded) = (size[0], size[0] + size[1])
      let s = KernelMemory(padded, offset: offset, &random, scale: 20)
      reft_exp_scores_f32(n, padded, 0.4, 9, s.base)
      return s.contents
    },
    KernelCase(
      name: "softmax_backward",
      family: .softmax,
      sizes: combinations(Array(0...70), [0, 5]),
      warn: 3e-6,
      fail: 2e-5
    ) { size, offset, random in
      let (n, padded) = (size[0], size[0] + size[1])
      let p = KernelMemory(padded, offset: offset, &random)
      let dp = KernelMemory(padded, offset: offset, &random)
      reft_softmax_backward_f32(n, padded, 0.4, p.base, dp.base)
      return dp.contents
    },
    KernelCase(
      name: "softcap",
      family: .softmax,
      sizes: combinations(Array(0...70), [1, 30]),
      warn: 2e-6,
      fail: 1e-5
    ) { size, offset, random in
      let x = KernelMemory(size[0], offset: offset, &random, scale: 20)
      reft_softcap_f32(size[0], 0.4, Float(size[1]), x.base)
      return x.contents
    },
    KernelCase(name: "softcap_backward", family: .softmax, sizes: oneSize, warn: 1e-6, fail: 5e-6) {
      size,
      offset,
      random in
      let y = KernelMemory(size[0], offset: offset, &random)
      let dx = KernelMemory(size[0], offset: offset, &random)
      reft_softcap_backward_f32(size[0], 0.4, 4, y.base, dx.base)
      return dx.contents
    },
    KernelCase(name: "exp_sum", family: .softmax, sizes: oneSize, warn: 1e-6, fail: 5e-6) {
      size,
      offset,
      random in
      let x = KernelMemory(size[0], offset: offset, &random, scale: 8)
      let sum = reft_exp_sum_f32(size[0], 20, x.base)
      return x.contents + [sum]
    },
  ]
}
