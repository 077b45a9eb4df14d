// SPDX-License-Identifier: Apache-2.0
// A file that the user names for a result: looked at before the work, so that nothing of the user's
// is replaced, and no work is done for a place that cannot be written.

import Foundation
import ReFTTensor

/// The place of a result file.
struct ResultFile {
  /// The option that names it, such as "--gradients".
  let option: String
  /// Its path.
  let path: String

  /// Checks the place.
  ///
  /// - Parameters:
  ///   - inputs: files that the command reads.
  ///   - kind: what the option writes, such as "a file of gradients".
  ///   - isOurs: whether a file that is there is an earlier result of the same kind.
  /// - Throws: `usage` for a folder, an input, or a file of another kind; `inputOutput` where the
  ///   folder is missing or cannot be written.
  func check(
    inputs: [String],
    kind: String,
    isOurs: (_ path: String) -> Bool
  ) throws(ReFTError) {
    guard try holdsSomething(beside: inputs) else { return }
    guard isOurs(path) else {
      throw refused("is there and no \(kind); choose another file, or remove it")
    }
  }

  /// Checks the place of a file that replaces none, such as a model.
  ///
  /// - Parameter inputs: files that the command reads.
  /// - Throws: `usage` for a folder, an input, or a file that is there; `inputOutput` as `check`.
  func checkIsFree(inputs: [String]) throws(ReFTError) {
    guard try holdsSomething(beside: inputs) else { return }
    throw refused("is there; choose another file, or remove it")
  }

  /// Whether a file is there that has something to lose.
  private func holdsSomething(beside inputs: [String]) throws(ReFTError) -> Bool {
    var status = stat()
    guard stat(path, &status) == 0 else {
      try checkFolder()
      return false
    }
    guard status.st_mode & S_IFMT != S_IFDIR else {
      throw refused("is a folder; give the path of a file")
    }
    for input in inputs {
      var other = stat()
      guard stat(input, &other) == 0 else { continue }
      if other.st_dev == status.st_dev, other.st_ino == status.st_ino {
        throw refused("is '\(input)', which the command reads; choose another file")
      }
    }
    // A pipe or a device has nothing to lose.
    return status.st_mode & S_IFMT == S_IFREG && status.st_size > 0
  }

  private func checkFolder() throws(ReFTError) {
    let folder = PathParts.folder(of: path)
    guard access(folder, W_OK | X_OK) == 0 else {
      let reason = String(cString: strerror(errno))
      throw ReFTError(
        .inputOutput,
        "\(option) '\(path)' cannot be written, its folder '\(folder)': \(reason); make the folder, or "
          + "choose another"
      )
    }
  }

  private func refused(_ reason: String) -> ReFTError {
    ReFTError(.usage, "\(option) '\(path)' \(reason)")
  }
}
