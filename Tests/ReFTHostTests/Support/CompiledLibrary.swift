// SPDX-License-Identifier: Apache-2.0
// Shared libraries that a test compiles from source.

import Foundation

/// What compilers and other tools said.
struct ToolFailure: Error, CustomStringConvertible { var description: String }

enum CompiledLibrary {
  /// The folder of the ABI header.
  static let include = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../../Sources/CReFTPlugin/include").standardized.path

  /// Compiles C source with plain `cc` into a shared library of a folder.
  static func c(_ source: String, name: String, in folder: String) throws -> String {
    let file = "\(folder)/\(name).c"
    try Data(source.utf8).write(to: URL(filePath: file))
    let library = "\(folder)/\(name).so"
    try run([
      "cc", "-std=c11", "-O1", "-fPIC", "-shared", "-I", include, "-o", library, file, "-lm",
    ])
    return library
  }

  /// Runs a tool and throws what it printed when it fails.
  static func run(_ arguments: [String]) throws {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    if process.terminationStatus != 0 {
      throw ToolFailure(description: String(decoding: data, as: UTF8.self))
    }
  }

  /// Whether a tool is on the search path.
  static func has(_ tool: String) -> Bool {
    (try? run([tool, "--version"])) != nil
  }
}
