// SPDX-License-Identifier: Apache-2.0
// What can go wrong between a model's name and its file.

import ReFTTensor

extension ReFTError {
  static func modelIsFolder(_ path: String) -> ReFTError {
    ReFTError(
      .usage,
      "model '\(path)' is a folder without config.json, expected a Hugging Face folder or a .gguf "
        + "file; name one of these"
    )
  }

  static func modelFileMissing(_ path: String, known: [String]) -> ReFTError {
    ReFTError(
      .inputMissing,
      "model file '\(path)' does not exist; \(advice(known))"
    )
  }

  static func modelUnknown(_ name: String, folder: String, known: [String]) -> ReFTError {
    ReFTError(
      .inputMissing,
      "no model '\(name)' as a path or in \(folder); \(advice(known))"
    )
  }

  static func modelAmbiguous(_ name: String, candidates: [String]) -> ReFTError {
    ReFTError(
      .usage,
      "model name '\(name)' fits several files: \(candidates.joined(separator: ", ")); "
        + "write one of these names in full"
    )
  }

  private static func advice(_ known: [String]) -> String {
    let fetch = "'reft model pull smollm2-135m-instruct' fetches a small one"
    return known.isEmpty
      ? "there are none yet, and \(fetch)"
      : "there: "
        + "\(known.joined(separator: ", ")); \(fetch)"
  }
}

extension ReFTError {
  static func pullUnknown(_ name: String, known: [String]) -> ReFTError {
    ReFTError(
      .usage,
      "no known model '\(name)'; known: \(known.joined(separator: ", ")), or give the https:// "
        + "address of a .gguf file"
    )
  }

  static func pullBadAddress(_ address: String) -> ReFTError {
    ReFTError(
      .usage,
      "'\(address)' is not the address of a .gguf file; expected https://…/NAME.gguf"
    )
  }

  static func pullLacksFile(_ file: String, package: String) -> ReFTError {
    ReFTError(
      .badData,
      "the package \(package) does not hold \(file); give the https:// address of a copy"
    )
  }

  static func pullPlaceTaken(_ path: String, expected: String, actual: String) -> ReFTError {
    ReFTError(
      .usage,
      "'\(path)' is there already with SHA-256 \(actual), expected \(expected); nothing was fetched: "
        + "move it away to fetch the other"
    )
  }

  static func pullBadDigest(_ path: String, expected: String, actual: String) -> ReFTError {
    ReFTError(
      .badData,
      "what was fetched for \(path) has SHA-256 \(actual), expected \(expected); nothing was kept, "
        + "try again or from another source"
    )
  }

  static func pullCannotKeep(_ path: String, reason: String) -> ReFTError {
    ReFTError(
      .inputOutput,
      "cannot write \(path): \(reason); make room or rights there, or set REFT_HOME to another folder"
    )
  }

  static func pullToolFailed(
    _ tool: String,
    purpose: String,
    status: Int32,
    cause: (any Error)? = nil
  ) -> ReFTError {
    ReFTError(
      .inputOutput,
      "could not \(purpose): '\(tool)' ended with status \(status); is it installed "
        + "(Scripts/setup.sh does that), and is the network reachable?",
      cause: cause
    )
  }
}
