// SPDX-License-Identifier: Apache-2.0
// The environment variables that decide how this machine computes, checked before anything does.

import Foundation

extension Machine {
  /// The values of `REFT_KERNELS`; without it the best kernels of the processor run.
  private static let kernelChoices = ["ref", "avx2", "avx512"]

  /// Makes sure that the variables that choose kernels and threads say something that exists.
  ///
  /// - Throws: `badConfiguration` with the variable, its value and what it may be.
  public static func checkEnvironment(
    _ environment: [String: String]? = nil
  ) throws(ReFTError) {
    let environment = environment ?? ProcessInfo.processInfo.environment
    if let choice = environment["REFT_KERNELS"], !choice.isEmpty, !kernelChoices.contains(choice) {
      throw .badVariable(
        "REFT_KERNELS",
        choice,
        expected: "'ref' (portable kernels), 'avx2' (no AVX-512) or 'avx512' (no AMX)",
        otherwise: "the best kernels of this processor"
      )
    }
    _ = try threadWish(environment)
  }

  /// How many threads the user wishes for; nil where no wish is stated.
  static func threadWish(_ environment: [String: String]) throws(ReFTError) -> Int? {
    guard let text = environment["REFT_THREADS"], !text.isEmpty else { return nil }
    guard let count = Int(text), (1...256).contains(count) else {
      throw .badVariable(
        "REFT_THREADS",
        text,
        expected: "a whole number from 1 to 256",
        otherwise: "one thread per processor"
      )
    }
    return count
  }
}

extension ReFTError {
  fileprivate static func badVariable(
    _ name: String,
    _ value: String,
    expected: String,
    otherwise: String
  ) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "the environment variable \(name) is '\(value)'; expected \(expected), or none for \(otherwise)"
    )
  }
}
