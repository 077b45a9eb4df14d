// SPDX-License-Identifier: Apache-2.0
// What hostile plugins try in a process of their own: nothing gets in, nothing is read, nothing stays.

import Foundation
import ReFTHost
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Attackers", .serialized)
struct AttackerTests {
  @Test(
    "get nothing through, from their first instruction on, and what they tried is named",
    arguments: [
      ("reads_files", ["to open '/etc/shadow'", "the system call 'openat2'"]),
      ("reads_host", ["to open '/proc/self/environ'", "the system call 'ptrace'"]),
      ("resolves_early", ["to open '/etc/shadow'"]),
      ("keeps_descriptors", ["the system call 'dup'", "the system call 'sendto'"]),
      ("own_filter", ["the system call 'seccomp'", "the system call 'prctl'"]),
      ("thread_filter", ["the system call 'seccomp'"]),
      ("replaces_handler", ["the system call 'socket'"]),
      ("connects", ["the system call 'socketpair'", "the system call 'sendmsg'"]),
      ("starts_processes", ["the system call 'clone'", "the system call 'execve'"]),
      ("goes_around", ["the system call 'io_uring_setup'", "the system call 'bpf'"]),
      ("changes_files", ["the system call 'unlink'", "the system call 'rename'"]),
      ("signals_others", ["the system call 'kill'", "the system call 'prlimit64'"]),
      ("cuts_memory", ["the system call 'ftruncate'"]),
      ("prints_forever", []),
      ("bomb", []),
      ("forges_verdict", ["the system call 'write'"]),
    ] as [(String, [String])]
  )
  func nothing(name: String, tries: [String]) throws {
    try withTemporaryDirectory { folder in
      let attacker = try Attacker(name, in: folder)
      let instance = try attacker.instance()
      #expect(try Attacker.call(instance) == -1, "something got through")
      #expect(IsolatedLoader.worker(of: instance)?.starts == 1)
      #expect(IsolatedLoader.confinement(of: instance)?.isSuperset(of: .required) == true)
      let attempts = try #require(IsolatedLoader.attempts(of: instance))
      for attempt in tries { #expect(attempts.contains(attempt), "\(attempts.sorted())") }
      #expect(!attempts.contains { $0.contains("number") }, "\(attempts.sorted())")
      #expect(try attacker.isUntouched())
    }
  }

  @Test("a plugin that calls the kernel of another machine is ended, twice, and quarantined")
  func otherMachine() throws {
    try withTemporaryDirectory { folder in
      let attacker = try Attacker("other_machine", in: folder)
      let instance = try attacker.instance()
      let error = #expect(throws: ReFTError.self) { _ = try Attacker.call(instance) }
      #expect(error?.code == .misbehaved)
      #expect(try attacker.isUntouched(allowing: ["capsules"]))
    }
  }

  @Test("an honest plugin's allocations, printing and threads are no attempts of anything")
  func innocent() throws {
    try withTemporaryDirectory { folder in
      let instance = try Attacker("innocent", in: folder).instance()
      #expect(try Attacker.call(instance) == -1)
      #expect(IsolatedLoader.attempts(of: instance) == [])
    }
  }

  @Test("our own plugins are blamed for nothing, however often they are loaded")
  func ourOwn() throws {
    let folder = try #require(BuiltPlugins.folder)
    let settings = IsolationSettings(workerPath: folder + "/reft-plugin-worker")
    // The long form, by hand: REFT_LONG_TESTS=250 makes 1,000 loads.
    let rounds = ProcessInfo.processInfo.environment["REFT_LONG_TESTS"].flatMap(Int.init) ?? 15
    for name in TrustStore.ownLibraries.sorted() {
      let file = try PluginFile(path: "\(folder)/\(name)")
      for _ in 0..<rounds {
        let plugin = try #require(try IsolatedLoader.load(file, settings: settings).first)
        // One that reads a file has no instance without it.
        if plugin.options.contains(where: { $0.kind == .tensor }) { continue }
        let instance = try plugin.makeInstance(at: Attacker.site, options: [:])
        // One that wants rows of a source prompt refuses the call; it is blamed for nothing either.
        if !plugin.capabilities.contains(.needsCounterpart) { _ = try Attacker.call(instance) }
        #expect(IsolatedLoader.attempts(of: instance) == [], "\(name)")
      }
    }
  }

  private static func hello(_ change: String) -> String {
    #"{"plugins":[{"id":"org.example.a","version":"1","summary":"s","license":"l","abi":"1.0","#
      + #""capabilities":0,"warnings":[],"options":[\#(change)]}]}"#
  }

  @Test(
    "answers in the worker's place end with the plugin refused, and trap nobody",
    arguments: [
      (1, 0, 0, "nonsense", "answered with a greeting that cannot be read"),
      (1, 0, 1 << 62, "{", "answered with a greeting that cannot be read"),
      (1, 1, 0, "nonsense", "answered with an error that cannot be read"),
      (1, 1, 0, #"{"code":"internal","message":"m"}"#, "m"),
      (1, 0, 0, #"{"plugins":[]}"#, "answered that the file holds 0 plugins"),
      (
        1, 0, 0,
        hello(#"{"name":"n","kind":"int","help":"","value":{"s":"x"},"choices":[]}"#),
        "its texts or options are not those of a plugin"
      ),
    ] as [(Int, Int, Int, String, String)]
  )
  func forgedGreetings(
    place: Int,
    failed: Int,
    bytes: Int,
    answer: String,
    says: String
  ) throws {
    try withTemporaryDirectory { folder in
      let attacker = try Attacker(
        "forges_answers",
        macros: [
          "ANSWER": answer.debugDescription, "BYTES": "\(bytes)L", "PLACE": "\(place)",
          "FAILED": "\(failed)",
        ],
        in: folder
      )
      let error = #expect(throws: ReFTError.self) { _ = try attacker.instance(timeout: 2) }
      #expect(error?.message.contains(says) == true, "\(error?.message ?? "")")
      #expect(error?.code == .misbehaved || error?.code == .pluginRefused, "\(error?.code as Any)")
    }
  }
}
