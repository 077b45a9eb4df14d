// SPDX-License-Identifier: Apache-2.0
// Runs the built command line as a process, the way a user or a script does.

import Foundation
import Testing

/// One finished call of a built tool.
struct Tool {
  /// The exit status, or minus the signal that ended the process.
  var status: Int32
  var output: Data
  var errors: String

  /// What was printed on stdout.
  var text: String { String(decoding: output, as: UTF8.self) }

  /// The JSON document on stdout.
  func json(sourceLocation: SourceLocation = #_sourceLocation) throws -> [String: Any] {
    let object = try JSONSerialization.jsonObject(with: output)
    return try #require(object as? [String: Any], sourceLocation: sourceLocation)
  }

  /// The folder of the built products: that of the test bundle.
  static let products: String = {
    let executable =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return (executable as NSString).deletingLastPathComponent
  }()

  /// Runs `reft` and waits for it, at most `seconds`.
  ///
  /// The process sees a home folder of its own and none of our variables but those given, so that
  /// nothing on the machine changes a result.
  static func reft(
    _ arguments: [String],
    input: Data = Data(),
    environment: [String: String] = [:],
    folder: String = NSTemporaryDirectory(),
    seconds: Double = 120
  ) throws -> Tool {
    try run(
      products + "/reft",
      arguments,
      input: input,
      environment: environment,
      folder: folder,
      seconds: seconds
    )
  }

  /// Runs any program the same way.
  static func run(
    _ program: String,
    _ arguments: [String],
    input: Data = Data(),
    environment: [String: String] = [:],
    folder: String = NSTemporaryDirectory(),
    seconds: Double = 120
  ) throws -> Tool {
    let scratch = NSTemporaryDirectory() + "/reft-e2e-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: scratch) }
    // Files, not pipes: no reader is needed for output of any size.
    let paths = ["in", "out", "err"].map { scratch + "/" + $0 }
    try input.write(to: URL(fileURLWithPath: paths[0]))
    for path in paths[1...] { try Data().write(to: URL(fileURLWithPath: path)) }

    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    process.environment = [
      "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin",
      "HOME": scratch, "REFT_HOME": scratch + "/reft-home", "LC_ALL": "C.UTF-8", "COLUMNS": "100",
    ].merging(environment) { $1 }
    process.standardInput = try FileHandle(forReadingFrom: URL(fileURLWithPath: paths[0]))
    process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: paths[1]))
    process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: paths[2]))
    try process.run()
    let watchdog = DispatchWorkItem { [process] in process.terminate() }
    DispatchQueue.global().asyncAfter(deadline: .now() + seconds, execute: watchdog)
    process.waitUntilExit()
    watchdog.cancel()
    let isSignal = process.terminationReason == .uncaughtSignal
    return Tool(
      status: isSignal ? -process.terminationStatus : process.terminationStatus,
      output: try Data(contentsOf: URL(fileURLWithPath: paths[1])),
      errors: String(
        decoding: try Data(contentsOf: URL(fileURLWithPath: paths[2])),
        as: UTF8.self
      )
    )
  }
}
