// SPDX-License-Identifier: Apache-2.0
// The checker checked: every broken plugin of the kit is caught by its rule, with the status and the
// replay command that it must give, and the correct one passes everything.

import Dispatch
import Foundation
import ReFTConformance
import Synchronization
import Testing
import _ReFTTestSupport

@Suite("The kit of broken plugins")
struct BrokenKitTests {
  @Test("catches every broken plugin by its own rule")
  func kill() throws {
    let faults = try Kit.faults()
    #expect(faults.count >= 30)
    #expect(Set(faults.map(\.name)).count == faults.count)
    try withTemporaryDirectory { folder in
      let missed = Mutex<[String]>([])
      DispatchQueue.concurrentPerform(iterations: faults.count) { index in
        let fault = faults[index]
        do {
          let file = try Kit.build(fault.name, in: folder)
          let report = try Kit.check(
            file,
            rules: [fault.rule],
            timeoutSeconds: fault.status == .timedOut ? 2 : 60,
            jobs: 1
          )
          let result = try #require(report.rules.first)
          if result.status != fault.status || result.message.count < 20
            || result.replay != "reft plugin check \(file) --rule \(fault.rule) --seed 1"
          {
            missed.withLock {
              $0.append(
                "\(fault.name) (\(fault.meaning)): \(fault.rule) said \(result.status.rawValue), "
                  + "expected \(fault.status.rawValue): \(result.message)"
              )
            }
          }
        } catch {
          missed.withLock { $0.append("\(fault.name): \(error)") }
        }
      }
      let list = missed.withLock { $0 }
      let killed = faults.count - list.count
      let rules = Set(faults.map(\.rule))
      FileHandle.standardError.write(
        Data(
          ("kill rate: \(killed) of \(faults.count) broken plugins caught by their rule "
            + "(\(rules.count) of \(Rule.all.count) rules have one)\n").utf8
        )
      )
      for miss in list { Issue.record("\(miss)") }
    }
  }

  @Test(
    "passes the same plugins without a fault at every level",
    arguments: [
      "kit", "source", "positions", "state", "aux", "wide", "twin", "input", "table", "collect",
    ]
  )
  func correct(plugin: String) throws {
    try withTemporaryDirectory { folder in
      let report = try Kit.check(try Kit.build(nil, of: plugin, in: folder), level: 5)
      for rule in report.rules where rule.status != .passed && rule.status != .skipped {
        Issue.record("\(rule.id) \(rule.status.rawValue): \(rule.message)")
      }
      #expect(report.passed)
      let names = ["org.reft.\(plugin)", "org.reft.\(plugin)-kit"]
      #expect(report.plugins.count == 1 && report.plugins.allSatisfy(names.contains))
      #expect(report.rules.count == Rule.all.count { $0.level < DeviceCheck.level })
    }
  }

  // Those of device forms are broken in DeviceCheckTests.
  @Test("has a broken plugin for every rule but the few that only report")
  func coverage() throws {
    let covered = Set(try Kit.faults().map(\.rule))
    let without = Rule.all.filter { $0.level < DeviceCheck.level }.map(\.id)
      .filter { !covered.contains($0) }
    #expect(without == ["ABI-101"])
  }
}
