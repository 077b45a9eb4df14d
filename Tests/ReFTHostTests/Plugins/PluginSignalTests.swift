// SPDX-License-Identifier: Apache-2.0
// Plugins whose functions change what signals do; `PluginConductTests` has those that do it while loading.

import Foundation
import ReFTHost
import Testing
import _ReFTTestSupport

@Suite("Plugins that change signal handlers", .serialized)
struct PluginSignalTests {
  private let x = [Float](repeating: 1, count: 16)

  private func harness(_ plugin: Plugin) throws -> InstanceHarness {
    let site = PluginSite(dim: 8, layer: 0, component: "block_output")
    return InstanceHarness(try plugin.makeInstance(at: site, options: [:]), dim: 8)
  }

  /// Whether a signal does what it does by default after a body of calls.
  ///
  /// One call of the process is looked at at a time, and that of another test may be in the way.
  private func isPutBack(_ number: Int32, after body: () throws -> Void) throws -> Bool {
    for _ in 0..<50 {
      signal(number, SIG_DFL)
      try body()
      var now = sigaction()
      sigaction(number, nil, &now)
      if now.__sigaction_handler.sa_handler == nil { return true }
    }
    signal(number, SIG_DFL)
    return false
  }

  @Test("have them put back, in create, plan and calls", arguments: ["CREATE", "PLAN", "FORWARD"])
  func putBack(place: String) throws {
    try withTemporaryDirectory { folder in
      let plugin = try CompiledPlugin.loaded([place: "signal(SIGWINCH,SIG_IGN)"], in: folder)
      let isRestored = try isPutBack(SIGWINCH) { _ = try harness(plugin).forward(x) }
      #expect(isRestored)
    }
  }

  @Test("are looked at in every call once they are found out")
  func foundOut() throws {
    try withTemporaryDirectory { folder in
      let plugin = try CompiledPlugin.loaded(["FORWARD": "signal(SIGURG,SIG_IGN)"], in: folder)
      let isFound = try isPutBack(SIGURG) { _ = try harness(plugin).forward(x) }
      #expect(isFound)
      let later = try harness(plugin)
      for _ in 0..<5 {
        let isRestored = try isPutBack(SIGURG) { _ = try later.forward(x) }
        #expect(isRestored)
      }
    }
  }
}
