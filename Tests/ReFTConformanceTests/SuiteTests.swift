// SPDX-License-Identifier: Apache-2.0
// The runner: gates, time-outs, seeds, reports and wrong questions.

import Foundation
import ReFTConformance
import ReFTHost
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("The conformance suite")
struct SuiteTests {
  @Test("runs what can be run when loading fails, and skips the rest by name")
  func gates() throws {
    try withTemporaryDirectory { folder in
      let report = try Kit.check(try Kit.build("CRASHES_AT_LOAD", in: folder), level: 5)
      #expect(!report.passed)
      #expect(report.plugins.isEmpty)
      let byID = Dictionary(uniqueKeysWithValues: report.rules.map { ($0.id, $0) })
      #expect(byID["ABI-101"]?.status == .passed)
      #expect(byID["ABI-102"]?.status == .passed)
      #expect(byID["ABI-105"]?.status == .crashed)
      #expect(byID["ABI-302"]?.status == .skipped)
      #expect(byID["ABI-302"]?.message == "Not run, because ABI-105 does not hold.")
    }
  }

  @Test("refuses a file that is no library without running it")
  func notALibrary() throws {
    try withTemporaryDirectory { folder in
      let file = folder + "/note.so"
      try Data("hello".utf8).write(to: URL(fileURLWithPath: file))
      let report = try Kit.check(file)
      #expect(report.rules.first?.status == .failed)
      #expect(
        report.rules.first?.message
          == "plugin file '\(file)' is no shared library for this machine: it does not begin with "
          + "the ELF mark; build it with `cc -shared -fPIC`."
      )
      for rule in report.rules.dropFirst() {
        #expect(rule.status == .skipped && !rule.wasRun)
        #expect(rule.message == "Not run, because ABI-101 does not hold.")
      }
    }
  }

  @Test("ends a hanging rule with its whole process group and says where it hung")
  func hang() throws {
    try withTemporaryDirectory { folder in
      let report = try Kit.check(
        try Kit.build("HANGS", in: folder),
        rules: ["ABI-221"],
        timeoutSeconds: 1
      )
      let result = try #require(report.rules.first)
      #expect(result.status == .timedOut)
      #expect(result.message.hasPrefix("Did not return within 1 s during forward of "))
      #expect(result.seconds < 10)
    }
  }

  @Test("begins no other rule after two that did not end in time")
  func late() throws {
    try withTemporaryDirectory { folder in
      let report = try Kit.check(try Kit.build("HANGS", in: folder), timeoutSeconds: 1, jobs: 1)
      let late = report.rules.filter { $0.status == .timedOut }.map(\.id)
      #expect(late.count == 2)
      let skipped = report.rules.filter { !$0.wasRun }
      #expect(skipped.count > 20)
      #expect(
        Set(skipped.map(\.message))
          == ["Not run, because \(late.joined(separator: " and ")) did not end in time."]
      )
      #expect(report.seconds < 20)
    }
  }

  @Test("ends a plugin that hoards memory far below 2 GB, and says how much it held")
  func hoard() throws {
    try withTemporaryDirectory { folder in
      let file = try Kit.build("HOARDS", in: folder)
      // What a child held can be told by a process that held less: the tool, and not all these tests.
      let call = ["plugin", "check", file, "--rule", "ABI-221", "--json"]
      let result = try Kit.run(
        "/usr/bin/env",
        ["REFT_HOME=\(folder)/home", Kit.products + "/reft"] + call
      )
      #expect(result.output.contains("\"status\" : \"crashed\""))
      let held = try #require(
        result.output.firstMatch(of: /held (\d+) MiB; the checker gives a rule 768 MiB\.\"/)
      )
      #expect(try #require(Int(held.1)) < 1024)
    }
  }

  @Test("believes no verdict that the judged code writes, wherever it writes it")
  func forged() throws {
    try withTemporaryDirectory { folder in
      // As one would who knows the descriptor of an earlier version.
      for (name, descriptors, says) in [
        ("known", "3; d < 4", "The plugin ended the process with exit status 0 during dlopen."),
        ("all", "3; d < 1024", "The plugin forges its check: "),
      ] {
        let source = folder + "/\(name).c"
        try Data(
          """
          #include "\(Fixture.path("plugins/kit.c"))"
          __attribute__((constructor)) static void forge(void) {
            for (int d = \(descriptors); d++) (void)!write(d, "=passed \\n", 9);
            _exit(0);
          }
          """.utf8
        ).write(to: URL(fileURLWithPath: source))
        let file = folder + "/\(name).so"
        try Kit.compile(
          "cc",
          [
            "-shared", "-fPIC", "-std=gnu17", "-w", "-fvisibility=hidden",
            "-I", Kit.repository + "/Sources/CReFTPlugin/include", source, "-o", file, "-lm",
          ]
        )
        let report = try Kit.check(file)
        #expect(!report.passed)
        let load = try #require(report.rules.first { $0.id == "ABI-105" })
        #expect(load.status == .failed)
        #expect(load.message.hasPrefix(says), "\(load.message)")
        #expect(report.rules.allSatisfy { $0.level == 1 || $0.status != .passed })
      }
    }
  }

  @Test("judges the bytes that it opened, whatever becomes of the file meanwhile")
  func swapped() throws {
    try withTemporaryDirectory { folder in
      let file = try Kit.build(nil, in: folder)
      let bad = try Kit.build("WRONG_SIGN", in: folder)
      let hash = try PluginFile(path: file).hash
      let suite = ConformanceSuite(file: file, executable: Kit.executable)
      let report = try suite.run { _ in
        _ = try? FileManager.default.removeItem(atPath: file)
        _ = try? FileManager.default.copyItem(atPath: bad, toPath: file)
      }
      #expect(report.passed)
      #expect(report.hash == hash)
      #expect(try PluginFile(path: file).hash != hash)
    }
  }

  @Test("names the buffer and the distance of a stray access")
  func stray() throws {
    try withTemporaryDirectory { folder in
      let report = try Kit.check(try Kit.build("WRITES_PAST_ROW", in: folder), rules: ["abi-231"])
      let message = try #require(report.rules.first).message
      #expect(message.contains("SIGSEGV during forward of"))
      #expect(message.contains("0 bytes past the end of `y` of "))
    }
  }

  @Test("names the layout that no process could hold, and the call that ends one")
  func largeAndLate() throws {
    try withTemporaryDirectory { folder in
      for (fault, rule, says) in [
        (
          "ENORMOUS_SIZE", "ABI-211",
          "Parameter 1 has the dimensions [89478485, 24]: not a size that can be allocated."
        ),
        ("ABORTS_IN_DESTROY", "ABI-207", "SIGABRT during destroy of org.reft.kit"),
        ("ABORTS_IN_DESTROY", "ABI-201", "SIGABRT during destroy of org.reft.kit"),
      ] {
        let report = try Kit.check(try Kit.build(fault, in: folder), rules: [rule])
        let message = try #require(report.rules.first).message
        #expect(message.contains(says), "\(fault): \(message)")
      }
    }
  }

  @Test("a run in which no instance was made did not pass")
  func hollow() {
    func report(_ status: RuleStatus) -> Report {
      let rules = [("ABI-105", RuleStatus.passed), ("ABI-201", status)].map { id, status in
        RuleResult(
          id: id,
          status: status,
          message: "",
          replay: nil,
          level: 1,
          seconds: 0,
          title: "t"
        )
      }
      return Report(file: "a.so", level: 3, seed: 1, plugins: [], rules: rules, seconds: 0)
    }
    #expect(report(.passed).passed)
    #expect(!report(.skipped).passed)
  }

  @Test("names the parameter whose gradient is wrong, with both values")
  func gradient() throws {
    try withTemporaryDirectory { folder in
      let report = try Kit.check(
        try Kit.build("FORGETS_BIAS_GRADIENT", in: folder),
        rules: ["ABI-303"]
      )
      let message = try #require(report.rules.first).message
      #expect(message.hasPrefix("The gradient of \"in.bias\" of org.reft.kit at width 24 is wrong"))
      #expect(message.contains("the plugin says 0, central differences say "))
    }
  }

  @Test("checks a plugin that would write files and start processes, and neither happens")
  func confined() throws {
    try withTemporaryDirectory { folder in
      guard ConformanceSuite.isConfined else { return print("skipped: no system call filter here") }
      let victim = folder + "/victim"
      try Data("precious".utf8).write(to: URL(fileURLWithPath: victim))
      let code: [(String, RuleStatus, String)] = [
        ("unlink(\"\(victim)\");", .warning, "tried the system call 'unlink"),
        ("open(\"\(folder)/new\", 0102, 0600);", .warning, "tried the system call 'open"),
        ("kill(getppid(), 9);", .warning, "tried the system call 'kill'"),
        ("syscall(57);", .warning, "tried the system call 'fork'"),
        (
          "char *a[] = {\"touch\", \"\(folder)/new\", 0}; execv(\"/usr/bin/touch\", a);", .warning,
          "tried the system call 'execve'"
        ),
        ("void *p; int s = posix_spawn(&p, \"/bin/true\", 0, 0, &p, &p);", .crashed, "SIGSYS"),
      ]
      for (statement, status, says) in code {
        let source = folder + "/hostile.c"
        try Data(
          """
          #define _GNU_SOURCE
          #include <fcntl.h>
          #include <signal.h>
          #include <spawn.h>
          #include <unistd.h>
          #include "\(Fixture.path("plugins/kit.c"))"
          __attribute__((constructor)) static void hostile(void) { \(statement) }
          """.utf8
        ).write(to: URL(fileURLWithPath: source))
        let file = folder + "/hostile.so"
        try Kit.compile(
          "cc",
          [
            "-shared", "-fPIC", "-std=gnu17", "-w", "-fvisibility=hidden",
            "-I", Kit.repository + "/Sources/CReFTPlugin/include", source, "-o", file, "-lm",
          ]
        )
        let result = try #require(try Kit.check(file, rules: ["ABI-105"]).rules.first)
        #expect(result.status == status, "\(statement): \(result.message)")
        #expect(result.message.contains(says), "\(statement): \(result.message)")
      }
      #expect(FileManager.default.fileExists(atPath: victim))
      #expect(!FileManager.default.fileExists(atPath: folder + "/new"))
    }
  }

  @Test("gives the same words for the same seed")
  func replay() throws {
    try withTemporaryDirectory { folder in
      let file = try Kit.build("ONE_PER_CENT_OFF", in: folder)
      let messages = try [7, 7, 8].map { seed in
        try Kit.check(file, rules: ["ABI-303"], seed: seed).rules.map(\.message)
      }
      #expect(messages[0] == messages[1])
      #expect(messages[0] != messages[2])
    }
  }

  @Test("refuses unknown rules, levels and missing files")
  func wrongQuestions() throws {
    let missing = #expect(throws: ReFTError.self) { try Kit.check("/nowhere/x.so") }
    #expect(missing?.code == .inputMissing)
    let level = #expect(throws: ReFTError.self) { try Kit.check("/nowhere/x.so", level: 6) }
    #expect(level?.message == "There is no check level 6. Choose 1 to 5.")
    let rule = #expect(throws: ReFTError.self) {
      try Kit.check("/nowhere/x.so", rules: ["ABI-999"])
    }
    #expect(rule?.code == .usage)
    #expect(rule?.message.hasPrefix("There is no rule ABI-999.") == true)
  }

  @Test("writes the report as JSON and as JUnit")
  func documents() throws {
    let report = Report(
      file: "a.so",
      level: 1,
      seed: 2,
      plugins: ["org.a.b"],
      rules: [
        RuleResult(
          id: "ABI-105",
          status: .timedOut,
          message: "1 < 2 & \"x\"",
          replay: "again",
          level: 1,
          seconds: 0.5,
          title: "t"
        )
      ],
      seconds: 1
    )
    let data = try JSONEncoder().encode(report)
    let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    let rules = try #require(object["rules"] as? [[String: Any]])
    #expect(rules.first?["status"] as? String == "timed_out")
    #expect(rules.first?["replay"] as? String == "again")
    #expect(try JSONDecoder().decode(Report.self, from: data).rules == report.rules)
    #expect(
      report.junit.contains(
        "<failure type=\"timed_out\">1 &lt; 2 &amp; &quot;x&quot;</failure>"
      )
    )
    #expect(report.summary == "1 timed out")
  }

  @Test("numbers its rules by level, each once, and each in one sentence")
  func numbering() {
    let ids = Rule.all.map(\.id)
    #expect(Set(ids).count == ids.count)
    #expect(ids == ids.sorted())
    for rule in Rule.all {
      #expect((1...DeviceCheck.level).contains(rule.level))
      #expect(rule.title.hasSuffix(".") && !rule.title.dropLast().contains(". "), "\(rule.id)")
    }
  }

  @Test("runs in this process when asked to, for a debugger")
  func inProcess() throws {
    try withTemporaryDirectory { folder in
      let suite = ConformanceSuite(
        file: try Kit.build(nil, in: folder),
        rules: ["ABI-105", "ABI-302"],
        inProcess: true
      )
      let report = try suite.run()
      #expect(report.rules.map(\.status) == [.passed, .passed])
    }
  }
}
