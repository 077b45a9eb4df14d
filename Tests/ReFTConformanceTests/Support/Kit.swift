// SPDX-License-Identifier: Apache-2.0
// Compiles the kit of broken plugins and finds the built tools.

import Foundation
import ReFTConformance
import ReFTTensor
import Testing
import _ReFTTestSupport

/// One line of `Tests/Fixtures/plugins/faults.txt`.
struct Fault: Sendable {
  var name: String
  var rule: String
  var status: RuleStatus
  var meaning: String
}

enum Kit {
  /// The folder of the built products: that of the test bundle.
  static let products: String = {
    let executable =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return (executable as NSString).deletingLastPathComponent
  }()

  /// The built command, whose processes run the rules.
  static var executable: String { products + "/reft" }

  /// The faults of the kit.
  static func faults() throws -> [Fault] {
    let text = String(decoding: try Fixture.data("plugins/faults.txt"), as: UTF8.self)
    return try text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
      let fields = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: true)
      try #require(fields.count == 4, "bad line in faults.txt: \(line)")
      let status = try #require(RuleStatus(rawValue: String(fields[2])), "bad status: \(line)")
      return Fault(
        name: String(fields[0]),
        rule: String(fields[1]),
        status: status,
        meaning: fields[3].trimmingCharacters(in: .whitespaces)
      )
    }
  }

  /// Compiles a plugin of the kit, with a fault or without, and returns the library's path.
  static func build(_ fault: String?, of plugin: String = "kit", in folder: String) throws -> String
  {
    let output = folder + "/" + (fault ?? "CORRECT_\(plugin)") + ".so"
    let own = fault.map { $0.prefix { $0 != "_" }.lowercased() } ?? ""
    let hasOwn = FileManager.default.fileExists(atPath: Fixture.path("plugins/\(own).c"))
    let plugin = hasOwn ? own : plugin
    var arguments = [
      "-shared", "-fPIC", "-O1", "-std=gnu17", "-w", "-fvisibility=hidden",
      "-I", repository + "/Sources/CReFTPlugin/include", Fixture.path("plugins/\(plugin).c"),
      "-o", output, "-lm", "-lpthread",
    ]
    if let fault { arguments.append("-DFAULT_\(fault)=1") }
    switch fault {
    case "EXECUTABLE_STACK": arguments += ["-z", "execstack"]
    case "TEXT_RELOCATION": arguments += ["-Wl,-z,notext"]
    case "RELATIVE_SEARCH": arguments += ["-Wl,-rpath,/usr/lib:lib"]
    case "OPEN_SEARCH": arguments += ["-Wl,-rpath,/tmp/lib"]
    case "THROWS":
      let object = folder + "/throws.o"
      try compile(
        "c++",
        ["-c", "-fPIC", "-fvisibility=hidden", Fixture.path("plugins/throws.cpp"), "-o", object]
      )
      arguments += [object, "-lstdc++"]
    default: break
    }
    try compile("cc", arguments)
    return output
  }

  /// The root of the repository.
  static var repository: String {
    URL(fileURLWithPath: Fixture.folder).deletingLastPathComponent().deletingLastPathComponent()
      .path
  }

  /// The header of the ABI.
  static var header: String { repository + "/Sources/CReFTPlugin/include/reft_plugin.h" }

  /// Runs a compiler; its complaints are the error.
  static func compile(_ compiler: String, _ arguments: [String]) throws {
    let result = try run("/usr/bin/env", [compiler] + arguments)
    try #require(result.status == 0, "\(compiler) \(arguments): \(result.output)")
  }

  /// Runs a program and returns its exit status and all that it printed.
  static func run(_ program: String, _ arguments: [String]) throws -> (
    status: Int32, output: String
  ) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: data, as: UTF8.self))
  }

  /// Runs rules on a file with the built command as the child.
  static func check(
    _ file: String,
    level: Int = 3,
    rules: [String]? = nil,
    seed: UInt64 = 1,
    timeoutSeconds: Double? = nil,
    jobs: Int? = nil,
    options: [String] = []
  ) throws -> Report {
    var suite = ConformanceSuite(
      file: file,
      level: level,
      rules: rules,
      seed: seed,
      timeoutSeconds: timeoutSeconds,
      jobs: jobs,
      executable: executable
    )
    suite.options = try options.map { option throws(ReFTError) in try GivenOption(option) }
    return try suite.run()
  }
}
