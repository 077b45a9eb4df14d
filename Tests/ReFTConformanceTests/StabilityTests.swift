// SPDX-License-Identifier: Apache-2.0
// Old plugins in new hosts, new plugins in old hosts, and a header that only appends.

import Foundation
import ReFTConformance
import Testing
import _ReFTTestSupport

@Suite("The ABI over time")
struct StabilityTests {
  /// Folders of headers: each release, the present one, and one from the future.
  static func headers(_ folder: String) throws -> [(name: String, path: String)] {
    let releases = try FileManager.default.contentsOfDirectory(atPath: Fixture.path("abi"))
      .filter { $0.first?.isNumber == true }.sorted()
    try #require(releases.contains("1.0"))
    let future = folder + "/future"
    try FileManager.default.createDirectory(atPath: future, withIntermediateDirectories: true)
    let text = try Kit.run(
      Kit.repository + "/Scripts/abi-layout.py",
      ["future", Kit.header]
    )
    try #require(text.status == 0, "\(text.output)")
    try Data(text.output.utf8).write(to: URL(fileURLWithPath: future + "/reft_plugin.h"))
    return releases.map { ("release \($0)", Fixture.path("abi/\($0)")) }
      + [("present", (Kit.header as NSString).deletingLastPathComponent), ("future", future)]
  }

  static func plugin(_ include: String, as name: String, in folder: String) throws -> String {
    let output = folder + "/plugin-\(name.replacing(" ", with: "-")).so"
    try Kit.compile(
      "cc",
      [
        "-shared", "-fPIC", "-O1", "-std=gnu17", "-fvisibility=hidden", "-I", include,
        Fixture.path("plugins/kit.c"), "-o", output, "-lm",
      ]
    )
    return output
  }

  static func host(_ include: String, as name: String, in folder: String) throws -> String {
    let output = folder + "/host-\(name.replacing(" ", with: "-"))"
    try Kit.compile(
      "cc",
      [
        "-O1", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-I", include,
        Fixture.path("abi/host.c"), "-o", output, "-ldl",
      ]
    )
    return output
  }

  @Test("every host of every version computes the released numbers with every plugin")
  func museum() throws {
    let released = String(decoding: try Fixture.data("abi/1.0/numbers.txt"), as: UTF8.self)
    try withTemporaryDirectory { folder in
      let headers = try Self.headers(folder)
      let plugins = try headers.map { try Self.plugin($0.path, as: $0.name, in: folder) }
      for header in headers {
        let host = try Self.host(header.path, as: header.name, in: folder)
        for (index, plugin) in plugins.enumerated() {
          let result = try Kit.run(host, [plugin])
          let place = "host \(header.name), plugin \(headers[index].name)"
          #expect(result.status == 0, "\(place): \(result.output)")
          expectSameNumbers(result.output, released, place)
        }
      }
    }
  }

  @Test("our plugins compute the same for a host of 1.0 and for one from the future")
  func shippedPlugins() throws {
    try withTemporaryDirectory { folder in
      let hosts = try Self.headers(folder).map { try Self.host($0.path, as: $0.name, in: folder) }
      // None of these hosts has the rows of a source prompt, or the files, that some plugins take.
      for file in try ShippedPluginTests.shipped()
      where !["libInterchange.so", "libSAE.so"].contains(where: file.hasSuffix) {
        let results = try hosts.map { try Kit.run($0, [file]) }
        // What needs ABI 1.1 says so to a host that has it not.
        let served = results.filter { !$0.output.contains("hosts of ABI 1.1") }
        #expect(served.count >= results.count - 1, "\(file): \(results[0].output)")
        for result in served {
          #expect(result.status == 0, "\(file): \(result.output)")
          #expect(result.output == served[0].output, "\(file)")
        }
      }
    }
  }

  @Test("this host loads and checks plugins of a released and of a future minor version")
  func presentHost() throws {
    try withTemporaryDirectory { folder in
      for header in try Self.headers(folder) where header.name != "present" {
        let report = try Kit.check(
          try Self.plugin(header.path, as: header.name, in: folder),
          level: 3,
          timeoutSeconds: 120
        )
        for rule in report.rules where rule.status.isFault {
          Issue.record("plugin \(header.name): \(rule.id) \(rule.message)")
        }
        #expect(report.rules.first { $0.id == "ABI-121" }?.status == .passed)
        #expect(report.rules.first { $0.id == "ABI-325" }?.status == .passed)
      }
    }
  }

  @Test("the layout check accepts an appended field and refuses every other change")
  func layoutCheck() throws {
    let header = try String(contentsOfFile: Kit.header, encoding: .utf8)
    let changes: [(String, String, String, Bool)] = [
      ("nothing", "int64_t layer; ", "int64_t layer; ", true),
      ("an appended field", "  uint64_t rng_step;", "  uint64_t rng_step;\n  uint64_t more;", true),
      ("an inserted field", "  int64_t dim; ", "  int64_t other;\n  int64_t dim; ", false),
      ("a removed field", "  uint64_t rng_key;", "  ", false),
      ("another type", "  uint64_t capabilities;", "  int64_t capabilities;", false),
      (
        "another signature", "(*cancelled)(void *context,", "(*cancelled)(const void *context,",
        false
      ),
      ("another code", "#define REFT_E_NOMEM (-3)", "#define REFT_E_NOMEM (-9)", false),
      (
        "a longer frozen struct", "  int64_t col_stride;", "  int64_t col_stride;\n  int64_t more;",
        false
      ),
    ]
    try withTemporaryDirectory { folder in
      for (index, (name, old, new, isAllowed)) in changes.enumerated() {
        try #require(header.contains(old), "the header no longer has '\(old)'")
        let place = folder + "/\(index)"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        let changed = header.replacing(old, with: new, maxReplacements: 1)
          .replacing(/REFT_STATIC_ASSERT\(sizeof\(reft[^\n]*\n/, with: "")
        try Data(changed.utf8).write(to: URL(fileURLWithPath: place + "/reft_plugin.h"))
        let script = Kit.repository + "/Scripts/abi-layout.py"
        let layout = try Kit.run(script, ["print", place + "/reft_plugin.h"])
        try #require(layout.status == 0, "\(name): \(layout.output)")
        try Data(layout.output.utf8).write(to: URL(fileURLWithPath: place + "/layout.txt"))
        let verdict = try Kit.run(
          script,
          ["compare", Fixture.path("abi/1.0/layout.txt"), place + "/layout.txt"]
        )
        #expect((verdict.status == 0) == isAllowed, "\(name): \(verdict.output)")
      }
    }
  }

  @Test("the header and the C plugins keep the recorded ABI")
  func recordedABI() throws {
    let result = try Kit.run(Kit.repository + "/Scripts/check-abi.sh", [])
    #expect(result.status == 0, "\(result.output)")
  }

  private func expectSameNumbers(_ found: String, _ released: String, _ place: String) {
    let (a, b) = (found.split(separator: "\n"), released.split(separator: "\n"))
    #expect(a.count == b.count, "\(place)")
    for (line, expected) in zip(a, b) {
      let (x, y) = (line.split(separator: " "), expected.split(separator: " "))
      let isSame =
        x.count == y.count
        && zip(x, y).allSatisfy { one, two in
          guard let one = Double(one), let two = Double(two) else { return one == two }
          return abs(one - two) <= 1e-5 * (1 + abs(two))
        }
      #expect(isSame, "\(place): \(line) instead of \(expected)")
    }
  }
}
