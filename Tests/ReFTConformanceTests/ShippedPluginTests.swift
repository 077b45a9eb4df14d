// SPDX-License-Identifier: Apache-2.0
// Our own plugins obey the law.

import Foundation
import ReFTConformance
import Testing

@Suite("The plugins that we ship")
struct ShippedPluginTests {
  @Test("pass level 4, level 3 in less than 20 seconds of processor time", arguments: try shipped())
  func pass(file: String) throws {
    let report = try Kit.check(file, level: 4, timeoutSeconds: 120)
    for rule in report.rules where rule.status.isFault {
      Issue.record("\(rule.id) \(rule.status.rawValue): \(rule.message)")
    }
    #expect(report.passed)
    let basic = report.rules.filter { $0.level <= 3 }.reduce(0) { $0 + $1.processorSeconds }
    let warnings = report.rules.filter { $0.status == .warning }.map { "\($0.id) \($0.message)" }
    FileHandle.standardError.write(
      Data(
        ("plugin check of \((file as NSString).lastPathComponent): \(report.summary), "
          + "levels 1-3 took \((basic * 10).rounded() / 10) s of processor time"
          + (warnings.isEmpty ? "" : "; \(warnings.joined(separator: "; "))") + "\n").utf8
      )
    )
    #expect(basic < 20)
  }

  /// All plugin libraries beside the test bundle.
  static func shipped() throws -> [String] {
    let names = try FileManager.default.contentsOfDirectory(atPath: Kit.products)
    let files = try names.filter { $0.hasSuffix(".so") }.sorted().map { Kit.products + "/" + $0 }
      .filter {
        try Kit.run("/usr/bin/env", ["nm", "-D", $0]).output.contains("reft_plugin_entry_v1")
      }
    try #require(
      files.contains { $0.hasSuffix("libLoReFT.so") },
      "no libLoReFT.so in \(Kit.products)"
    )
    return files
  }
}
