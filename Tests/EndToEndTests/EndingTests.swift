// SPDX-License-Identifier: Apache-2.0
// Plugins that end the program, or do not let it end: what the user is told, and what is kept.

import Foundation
import Testing
import _ReFTTestSupport

@Suite("Endings", .serialized)
struct EndingTests {
  /// A run of four steps with a plugin from the template that has a line more in one of its functions.
  private func bench(
    _ line: String,
    in function: String = "backward",
    isTrusted: Bool = true,
    _ body: (Workbench, [String: String]) throws -> Void
  ) throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun(
        config: Workbench.config.replacing("plugin: loreft", with: "plugin: frail")
          .replacing("    options: {rank: 2}\n", with: "").replacing("epochs: 1", with: "epochs: 2")
      )
      let environment = ["REFT_HOME": folder + "/home"]
      let made = try Tool.reft(
        ["plugin", "new", "frail", "--output", bench.path("frail")],
        environment: environment,
        folder: folder
      )
      #expect(made.status == 0, "\(made.errors)")
      let path = bench.path("plugins/frail.so")
      try FileManager.default.createDirectory(
        atPath: bench.path("plugins"),
        withIntermediateDirectories: true
      )
      let source = try String(contentsOfFile: bench.path("frail/frail.c"), encoding: .utf8)
      try bench.compile(try Self.changed(source, line, in: function), to: "plugins/frail.so")
      if isTrusted {
        let trusted = try Tool.reft(
          ["plugin", "trust", path],
          environment: environment,
          folder: folder
        )
        #expect(trusted.status == 0, "\(trusted.errors)")
      }
      try body(bench, environment)
    }
  }

  /// The template with a line at the start of a function, and the host's table within reach.
  private static func changed(
    _ source: String,
    _ line: String,
    in function: String
  ) throws -> String {
    var text =
      "#define _GNU_SOURCE\n#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n"
      + source.replacing(
        "static reft_status_t create(",
        with: "static const reft_host_t *the_host;\nstatic reft_status_t create("
      )
    for (name, more) in [("create", " the_host = host;"), (function, line)] {
      let start = try #require(text.range(of: "reft_status_t \(name)("))
      let brace = try #require(text.range(of: "{", range: start.upperBound..<text.endIndex))
      text.insert(contentsOf: more, at: brace.upperBound)
    }
    return text
  }

  private func train(_ bench: Workbench, _ more: [String] = []) -> [String] {
    ["train", bench.path("run.yaml"), "--plugin-path", bench.path("plugins")] + more
  }

  private func status(_ bench: Workbench) throws -> String {
    let data = try Data(contentsOf: URL(fileURLWithPath: bench.path("run/manifest.json")))
    let manifest = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    return "\(manifest["status"] ?? "") \(manifest["step"] ?? "")"
  }

  @Test(
    "exit in a trusted plugin is a failure, with the finished steps saved",
    arguments: ["exit(0);", "quick_exit(0);", "exit(3);"]
  )
  func exits(call: String) throws {
    try bench(" if (a->rng_step >= 2) \(call)") { bench, environment in
      let run = try Tool.reft(train(bench), environment: environment, folder: bench.folder)
      #expect(run.status == 69, "\(run.errors)")
      #expect(
        run.errors.contains("error: plugin 'frail' ended the program by 'exit' in backward"),
        "\(run.errors)"
      )
      #expect(run.errors.contains("the run is saved as of step 2; go on with: reft train"))
      #expect(run.output.isEmpty)
      #expect(try status(bench) == "stopped 2")
    }
  }

  @Test("exit while a trusted plugin is loaded or asked is a failure too")
  func exitsEarly() throws {
    for (line, function) in [(" exit(0);", "create"), (" exit(0);", "plan")] {
      try bench(line, in: function) { bench, environment in
        let run = try Tool.reft(train(bench), environment: environment, folder: bench.folder)
        #expect(run.status == 69, "\(function): \(run.errors)")
        #expect(run.errors.contains("ended the program by 'exit' in \(function)"), "\(run.errors)")
      }
    }
  }

  /// Runs until the plugin says that it hangs, presses Ctrl-C, and measures the time to the end.
  private func interrupt(
    _ arguments: [String],
    _ bench: Workbench,
    _ environment: [String: String]
  ) throws -> (status: Int32, errors: String, seconds: Double) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Tool.products + "/reft")
    process.arguments = arguments
    process.environment = environment.merging(["PATH": "/usr/bin:/bin"]) { $1 }
    process.currentDirectoryURL = URL(fileURLWithPath: bench.folder)
    let pipe = Pipe()
    process.standardError = pipe
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    var errors = ""
    while !errors.contains("HANGING") {
      let more = pipe.fileHandleForReading.availableData
      if more.isEmpty { break }
      errors += String(decoding: more, as: UTF8.self)
    }
    let clock = ContinuousClock()
    let start = clock.now
    kill(process.processIdentifier, SIGINT)
    errors += String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    let seconds = start.duration(to: clock.now) / .seconds(1)
    #expect(process.terminationReason == .exit, "\(errors)")
    return (process.terminationStatus, errors, seconds)
  }

  private static let say = " if (a->rng_step >= 2) { fprintf(stderr, \"HANGING\\n\");"
  private static let hangs = say + " for (;;) pause(); }"
  private static let asks =
    say + " while (!the_host->cancelled(the_host->context, a->call)) usleep(1000);"
    + " return REFT_E_CANCELLED; }"

  @Test(
    "Ctrl-C while a plugin hangs, or waits to be asked, saves and ends",
    arguments: [(hangs, true), (hangs, false), (asks, true), (asks, false)]
  )
  func interrupted(line: String, isTrusted: Bool) throws {
    try bench(line, isTrusted: isTrusted) { bench, environment in
      let run = try interrupt(train(bench), bench, environment)
      #expect(run.status == 130, "\(run.errors)")
      // A second is what it takes where nothing else runs; tests share the machine.
      #expect(run.seconds < 5, "it took \(run.seconds) s")
      #expect(run.errors.contains("step 2"), "\(run.errors)")
      #expect(run.errors.contains("go on with: reft train"), "\(run.errors)")
      #expect(try status(bench) == "stopped 2")
    }
  }
}
