// SPDX-License-Identifier: Apache-2.0
// What fetching needs of the system: programs that download, and files that take their place.

import Foundation
import ReFTTensor

/// Runs programs that download, and handles what they bring.
enum FetchTool {
  /// The size of a file; 0 where there is none.
  static func byteCount(of path: String) -> Int {
    var information = stat()
    return stat(path, &information) == 0 ? Int(information.st_size) : 0
  }

  /// Makes a folder, and those around it.
  ///
  /// - Throws: `inputOutput`.
  static func makeFolder(_ path: String) throws(ReFTError) {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw .pullCannotKeep(path, reason: error.localizedDescription)
    }
  }

  /// Gives a file or folder its final name.
  ///
  /// - Throws: `inputOutput`.
  static func move(_ path: String, to target: String) throws(ReFTError) {
    guard rename(path, target) == 0 else {
      throw .pullCannotKeep(target, reason: String(cString: strerror(errno)))
    }
  }

  /// Runs a program whose messages go to our standard error.
  ///
  /// - Throws: `inputOutput` when it cannot be run or fails.
  static func run(_ words: [String], purpose: String) throws(ReFTError) {
    _ = try start(words, purpose: purpose, output: FileHandle.standardError)
  }

  /// Runs a program and returns what it prints.
  ///
  /// - Throws: as `run`.
  static func output(_ words: [String], purpose: String) throws(ReFTError) -> String {
    let pipe = Pipe()
    return try start(words, purpose: purpose, output: pipe) {
      String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    }
  }

  private static func start(
    _ words: [String],
    purpose: String,
    output: Any,
    reading: () -> String = { "" }
  ) throws(ReFTError) -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = words
    process.standardOutput = output
    do { try process.run() } catch {
      throw .pullToolFailed(words[0], purpose: purpose, status: -1, cause: error)
    }
    let text = reading()
    process.waitUntilExit()
    guard process.terminationReason == .exit, process.terminationStatus == 0 else {
      throw .pullToolFailed(words[0], purpose: purpose, status: process.terminationStatus)
    }
    return text
  }
}
