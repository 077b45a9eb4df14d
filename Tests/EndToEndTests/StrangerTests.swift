// SPDX-License-Identifier: Apache-2.0
// A stranger's plugin in the hands of the built tool: what it prints, what it learns, whether it stays,
// and what happens where the machine cannot confine it.

import Foundation
import Testing
import _ReFTTestSupport

@Suite("A stranger's plugin", .serialized)
struct StrangerTests {
  private func attacker(_ name: String, in bench: Workbench) throws {
    try FileManager.default.createDirectory(
      atPath: bench.path("plugins"),
      withIntermediateDirectories: true
    )
    try bench.write("canary-8b1f", to: "canary")
    let root = URL(fileURLWithPath: Fixture.folder).deletingLastPathComponent()
      .deletingLastPathComponent().path
    try cc([
      "-std=gnu11", "-D_GNU_SOURCE", "-fPIC", "-shared", "-fvisibility=hidden",
      "-DCANARY=\"\(bench.path("canary"))\"", "-I", root + "/Sources/CReFTPlugin/include",
      Fixture.path("attackers/\(name).c"), "-o", bench.path("plugins/attacker.so"),
    ])
  }

  private func cc(_ arguments: [String]) throws {
    let built = try Tool.run("/usr/bin/env", ["cc"] + arguments)
    try #require(built.status == 0, "\(built.errors)")
  }

  private func reft(
    _ arguments: [String],
    in bench: Workbench,
    environment: [String: String] = [:]
  ) throws -> Tool {
    try Tool.reft(
      arguments + ["--plugin-path", bench.path("plugins")],
      environment: environment,
      folder: bench.folder
    )
  }

  @Test("learns neither variables nor files of its host, and is named with what it tried")
  func secrets() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      for name in ["reads_host", "reads_files"] {
        try attacker(name, in: bench)
        let info = try reft(
          ["plugin", "info", "attacker"],
          in: bench,
          environment: ["REFT_TEST_SECRET": "secret-7d20"]
        )
        #expect(info.status == 0, "\(info.errors)")
        let all = info.text + info.errors
        #expect(!all.contains("GOT THROUGH") && !all.contains("LOOT"), "\(all)")
        #expect(!all.contains("canary-8b1f") && !all.contains("secret-7d20"), "\(all)")
        #expect(info.errors.contains("tried to open '"), "\(info.errors)")
        #expect(info.errors.contains("has no network, no files and no other processes"))
      }
    }
  }

  @Test("learns no more from being checked")
  func checked() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      for name in ["reads_host", "reads_files", "resolves_early"] {
        try attacker(name, in: bench)
        let check = try Tool.reft(
          ["plugin", "check", bench.path("plugins/attacker.so"), "--level", "1", "--json"],
          environment: ["REFT_TEST_SECRET": "secret-7d20"],
          folder: folder
        )
        let all = check.text + check.errors
        #expect(all.contains("ABI-105"), "\(check.errors)")
        #expect(!all.contains("canary-8b1f") && !all.contains("secret-7d20"), "\(all)")
        #expect(!all.contains("a variable of the host") && !all.contains("a resolver"), "\(all)")
      }
    }
  }

  @Test("shows its printing as lines of its own, without control characters, up to a bound")
  func printing() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try attacker("prints_forever", in: bench)
      let info = try reft(["plugin", "info", "attacker", "--json"], in: bench)
      #expect(info.status == 0, "\(info.errors.prefix(500))")
      #expect(try info.json()["id"] as? String == "org.example.attacker")
      #expect(info.errors.contains("plugin 'attacker.so' prints: "))
      #expect(!info.errors.contains("\u{1B}"))
      #expect(info.errors.contains("the rest is not shown"))
      #expect(info.errors.utf8.count < 100_000)
    }
  }

  @Test("does not outlive a host that is killed while it works")
  func outlives() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try attacker("outlives", in: bench)
      let process = Process()
      process.executableURL = URL(fileURLWithPath: Tool.products + "/reft")
      process.arguments = [
        "bench", "plugin", "attacker", "--rows", "2", "--plugin-path", bench.path("plugins"),
      ]
      process.environment = ["REFT_HOME": bench.path("home"), "PATH": "/usr/bin:/bin"]
      let pipe = Pipe()
      process.standardError = pipe
      process.standardOutput = FileHandle.nullDevice
      try process.run()
      let worker = try #require(number(after: "prints: worker ", in: pipe.fileHandleForReading))
      #expect(kill(worker, 0) == 0)
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
      var isThere = true
      for _ in 0..<100 where isThere {
        isThere = state(of: worker) != nil
        if isThere { usleep(20_000) }
      }
      #expect(!isThere, "the worker \(worker) is still there: \(state(of: worker) ?? "")")
    }
  }

  /// The state of a process that lives; nil for one that has ended, reaped or not.
  private func state(of process: pid_t) -> String? {
    guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
      let state = text.split(separator: ")").last?.split(separator: " ").first
    else { return nil }
    return ["Z", "X"].contains(state) ? nil : String(state)
  }

  /// The number that follows a text in what a process prints.
  private func number(after mark: String, in handle: FileHandle) -> pid_t? {
    var text = ""
    while true {
      if let range = text.range(of: mark) {
        let digits = text[range.upperBound...].prefix { $0.isNumber }
        if digits.endIndex < text.endIndex { return pid_t(digits) }
      }
      let more = handle.availableData
      if more.isEmpty { return nil }
      text += String(decoding: more, as: UTF8.self)
    }
  }

  @Test("gets what it needs from where the system keeps it, whatever LD_LIBRARY_PATH says")
  func searchVariable() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.write(
        """
        #include <stdio.h>
        __attribute__((constructor)) static void start(void) { fprintf(stderr, "EVIL\\n"); }
        int helper(void) { return 1; }
        """,
        to: "evil.c"
      )
      let root = URL(fileURLWithPath: Fixture.folder).deletingLastPathComponent()
        .deletingLastPathComponent().path
      for (name, needed) in [("libresolv.so.2", "-l:libresolv.so.2"), ("libevil.so", "-levil")] {
        try cc([
          "-shared", "-fPIC", bench.path("evil.c"), "-o", bench.path(name),
          "-Wl,-soname,\(name)",
        ])
        // Linked against the system's library where there is one, found at run time by the variable.
        try FileManager.default.createDirectory(
          atPath: bench.path("plugins-\(name)"),
          withIntermediateDirectories: true
        )
        try cc([
          "-shared", "-fPIC", "-fvisibility=hidden", "-w", "-I",
          root + "/Sources/CReFTPlugin/include",
          Fixture.path("loader/plugin.c"), "-o", bench.path("plugins-\(name)/plain.so"),
          "-Wl,--no-as-needed", "-L", bench.folder, needed,
        ])
      }
      func info(_ name: String) throws -> Tool {
        let home = ["REFT_HOME": folder + "/home", "LD_LIBRARY_PATH": folder]
        let file = bench.path("plugins-\(name)/plain.so")
        _ = try Tool.reft(["plugin", "trust", file], environment: home, folder: folder)
        return try Tool.reft(
          ["plugin", "info", "plain", "--plugin-path", bench.path("plugins-\(name)")],
          environment: home,
          folder: folder
        )
      }
      let systems = try info("libresolv.so.2")
      #expect(systems.status == 0 && !systems.errors.contains("EVIL"), "\(systems.errors)")
      let missing = try info("libevil.so")
      #expect(missing.status == 69 && !missing.errors.contains("EVIL"), "\(missing.errors)")
      #expect(missing.errors.contains("(not in LD_LIBRARY_PATH)"), "\(missing.errors)")
    }
  }

  @Test("is refused where the machine cannot confine it, unless less is asked for by name")
  func weak() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try cc([Fixture.path("attackers/without.c"), "-o", bench.path("without")])
      // The calls of Landlock have the same numbers on all machines.
      func run(
        _ arguments: [String],
        _ environment: [String: String] = [:],
        without calls: String = "444,445,446"
      ) throws -> Tool {
        try Tool.run(
          bench.path("without"),
          [calls, Tool.products + "/reft"] + arguments,
          environment: environment,
          folder: folder
        )
      }
      let call = ["plugin", "info", "loreft", "--isolation", "process"]
      let refused = try run(call)
      #expect(refused.status == 69, "\(refused.errors)")
      #expect(refused.errors.contains("(Landlock)"), "\(refused.errors)")
      #expect(refused.errors.contains("REFT_ISOLATION_CONFINEMENT=weak"), "\(refused.errors)")
      let weak = try run(call, ["REFT_ISOLATION_CONFINEMENT": "weak"])
      #expect(weak.status == 0, "\(weak.errors)")
      #expect(weak.errors.contains("lacks a bound on files (Landlock)"), "\(weak.errors)")
      let doctor = try run(["doctor"])
      #expect(doctor.text.contains("no Landlock, seccomp filters"), "\(doctor.text)")
      let wrong = try run(call, ["REFT_ISOLATION_CONFINEMENT": "none"])
      // Where a host may not look into its children (ptrace_scope 2), Landlock decides alone.
      #if arch(x86_64)
      let blind = try run(call, without: "310")
      #else
      let blind = try run(call, without: "270")
      #endif
      #expect(blind.status == 0 && !blind.errors.contains("tried"), "\(blind.errors)")
      #expect(wrong.status == 78 && wrong.errors.contains("expected full or weak"))
    }
  }
}
