// SPDX-License-Identifier: Apache-2.0
// A kernel with the inputs that tests give it and the difference from its reference they allow.

import CReFTKernels
import ReFTTensor
import Testing
import _ReFTTestSupport

/// One kernel and how far its optimised form may be from its reference.
struct KernelCase: Sendable {
  /// Which process tests it.
  enum Family: String, CaseIterable, Codable, Sendable {
    case products, rows, activations, softmax, decode, attention
  }

  var name: String
  var family: Family
  /// The sizes to run, in the kernel's own meaning.
  var sizes: [[Int]]
  /// |difference| / (1 + |reference|) from which the test warns, and from which it fails.
  var warn: Float
  var fail: Float
  /// Runs the kernel on random inputs; returns all it may have written, guards included.
  var run: @Sendable (_ size: [Int], _ offset: Int, inout SeededGenerator) -> [Float]

  /// Compares the forms on all sizes, aligned and misaligned, and reports the worst difference from
  /// the reference; AVX2 alone and with VNNI must not differ in any bit.
  ///
  /// Switches the kernels of the process, so it belongs into a process of its own.
  func compare() {
    var worst: (error: Float, note: String) = (0, "")
    for (number, size) in sizes.enumerated() {
      for offset in 0...1 {
        let start = SeededGenerator(seed: UInt64(number))
        reft_kernels_select(0)
        var random = start
        let expected = run(size, offset, &random)
        reft_kernels_select(1)
        random = start
        let actual = run(size, offset, &random)
        reft_kernels_select(2)
        random = start
        expectIdentical(run(size, offset, &random), actual, "\(name) with AVX2 at most")
        let error = Self.difference(actual, expected)
        if !(error <= worst.error) { worst = (error, "size \(size), offset \(offset)") }
      }
    }
    let note: Comment = "\(name): off by \(worst.error) from its reference at \(worst.note)"
    if !(worst.error <= fail) {
      Issue.record(note)
    } else if worst.error > warn {
      Issue.record(note, severity: .warning)
    }
  }

  /// The largest |a − b| / (1 + |b|); NaN when one is NaN and the other is not.
  private static func difference(_ actual: [Float], _ expected: [Float]) -> Float {
    guard actual.count == expected.count else { return .nan }
    var worst: Float = 0
    for (a, b) in zip(actual, expected) where a != b && !(a.isNaN && b.isNaN) {
      let error = abs(a - b) / (1 + abs(b))
      if !(error <= worst) { worst = error }
      if worst.isNaN { break }
    }
    return worst
  }
}
