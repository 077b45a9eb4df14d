// SPDX-License-Identifier: Apache-2.0
// Bare C functions behind a manifest are held against the same rules.

import Foundation
import ReFTConformance
import Testing
import _ReFTTestSupport

@Suite("Manifests under the checker")
struct ManifestTests {
  private func manifest(
    _ fault: String?,
    _ name: String = "bare",
    in folder: String
  ) throws -> String {
    try Kit.compile(
      "cc",
      [
        "-shared", "-fPIC", "-O1", Fixture.path("plugins/\(name).c"), "-o", "\(folder)/\(name).so",
      ] + (fault.map { ["-DFAULT_\($0)=1"] } ?? [])
    )
    let file = "\(folder)/\(name).reft.json"
    try Fixture.data("plugins/\(name).reft.json").write(to: URL(fileURLWithPath: file))
    return file
  }

  @Test("keep the rules when their functions are right")
  func correct() throws {
    try withTemporaryDirectory { folder in
      let report = try Kit.check(try manifest(nil, in: folder), level: 4, timeoutSeconds: 60)
      for rule in report.rules where rule.status.isFault {
        Issue.record("\(rule.id) \(rule.status.rawValue): \(rule.message)")
      }
      #expect(report.plugins == ["org.reft.bare"])
      for id in ["ABI-121", "ABI-223", "ABI-303", "ABI-312", "ABI-321", "ABI-322", "ABI-323"] {
        #expect(report.rules.first { $0.id == id }?.status == .passed, "\(id)")
      }
    }
  }

  @Test("keep them when they ask where their rows come from, in every call")
  func placed() throws {
    try withTemporaryDirectory { folder in
      let report = try Kit.check(
        try manifest(nil, "placed", in: folder),
        level: 5,
        timeoutSeconds: 60
      )
      for rule in report.rules where rule.status.isFault {
        Issue.record("\(rule.id) \(rule.status.rawValue): \(rule.message)")
      }
      for id in ["ABI-227", "ABI-303", "ABI-323", "ABI-324", "ABI-325", "ABI-502"] {
        #expect(report.rules.first { $0.id == id }?.status == .passed, "\(id)")
      }
    }
  }

  @Test("are told which gradient is wrong")
  func wrongGradient() throws {
    try withTemporaryDirectory { folder in
      let report = try Kit.check(try manifest("BARE_GRADIENT", in: folder), rules: ["ABI-303"])
      let result = try #require(report.rules.first)
      #expect(result.status == .failed)
      #expect(result.message.hasPrefix("The gradient of \"scale\" of org.reft.bare"))
    }
  }

  @Test("are refused in the host's words when they do not describe their library")
  func refused() throws {
    try withTemporaryDirectory { folder in
      let file = try manifest(nil, in: folder)
      let text = try String(contentsOfFile: file, encoding: .utf8)
      let wrong = text.replacing("\"channel_rows\"", with: "\"channel_row\"")
      try Data(wrong.utf8).write(to: URL(fileURLWithPath: file))
      let result = try #require(try Kit.check(file, rules: ["ABI-105"]).rules.first)
      #expect(result.status == .failed)
      #expect(result.message.contains("channel_row"))
    }
  }
}
