// SPDX-License-Identifier: Apache-2.0
// Options that the author of a check gives: taken as a configuration would, or refused before any rule.

import Foundation
import ReFTConformance
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Options given to a check")
struct GivenOptionTests {
  /// An option that is refused, and the whole sentence; FILES is the folder of the inputs.
  struct Wrong: Sendable, CustomTestStringConvertible {
    var plugin: String
    var option: String
    var says: String
    var testDescription: String { "\(plugin): \(option)" }
  }

  static let wrong = [
    Wrong(
      plugin: "kit",
      option: "rnak=3",
      says: "org.reft.kit has no option 'rnak'; there are dropout, mode, quiet, rank, scale; "
        + "did you mean 'rank'?"
    ),
    Wrong(plugin: "twin", option: "foo=1", says: "has no option 'foo'; there are no options"),
    Wrong(
      plugin: "kit",
      option: "rank=abc",
      says: "option 'rank' of org.reft.kit must be a whole number from 1 to 32"
    ),
    Wrong(
      plugin: "kit",
      option: "rank=33",
      says: "option 'rank' of org.reft.kit must be a whole number from 1 to 32"
    ),
    Wrong(
      plugin: "kit",
      option: "dropout=nan",
      says: "option 'dropout' of org.reft.kit must be a number from 0 to 0.9"
    ),
    Wrong(
      plugin: "kit",
      option: "mode=fanzy",
      says: "option 'mode' of org.reft.kit must be one of plain, fancy; did you mean 'fancy'?"
    ),
    Wrong(
      plugin: "kit",
      option: "quiet=1",
      says: "option 'quiet' of org.reft.kit must be true or false"
    ),
    Wrong(
      plugin: "input",
      option: "direction=FILES/none#v",
      says: "option 'direction' of org.reft.input must be a tensor of a safetensors file, "
        + "FILE#TENSOR, and 'FILES/none' is not there"
    ),
    Wrong(
      plugin: "input",
      option: "direction=FILES/v.safetensors",
      says: "option 'direction' of org.reft.input must be a tensor of a safetensors file, "
        + "FILE#TENSOR"
    ),
    Wrong(
      plugin: "input",
      option: "direction=FILES/v.safetensors#w",
      says: "has no tensor 'w'"
    ),
    Wrong(
      plugin: "input",
      option: "direction=FILES/v.safetensors#matrix",
      says: "org.reft.input makes no instance with it at any of the widths 24, 64, 128, 577, 576, "
        + "1024, 2048, 5, 2; at 5 it says 'needs float32 rows and a direction of as many numbers as a "
        + "row has'; give options that it takes"
    ),
    Wrong(
      plugin: "table",
      option: "table=FILES/none",
      says: "option 'table' of org.reft.table must be a file, and 'FILES/none' is not there"
    ),
  ]

  /// A folder with a direction of 48 numbers, a matrix, and a file of 5,000 bytes.
  private func files(_ body: (String) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      let direction = (0..<48).map { Float($0) / 48 }
      try Safetensors.write(
        [
          NamedTensor(name: "v", shape: [48], values: direction),
          NamedTensor(name: "matrix", shape: [2, 5], values: Array(direction.prefix(10))),
        ],
        metadata: [:],
        to: folder + "/v.safetensors"
      )
      try Data(repeating: 200, count: 5000).write(to: URL(fileURLWithPath: folder + "/table.bin"))
      try body(folder)
    }
  }

  @Test("are refused where the plugin does not take them, before any rule is run", arguments: wrong)
  func refused(wrong: Wrong) throws {
    try files { folder in
      let file = try Kit.build(nil, of: wrong.plugin, in: folder)
      let option = wrong.option.replacing("FILES", with: folder)
      for inProcess in [false, true] {
        let suite = try suite(file, option: option, inProcess: inProcess)
        let error = try #require(throws: ReFTError.self) {
          try suite.run { Issue.record("\($0.id) was run") }
        }
        #expect(error.code == .usage)
        #expect(error.message.hasPrefix("--option \(option): "), "\(error.message)")
        let says = wrong.says.replacing("FILES", with: folder)
        #expect(error.message.contains(says), "\(error.message)")
      }
    }
  }

  private func suite(
    _ file: String,
    option: String,
    inProcess: Bool
  ) throws -> ConformanceSuite {
    var suite = ConformanceSuite(
      file: file,
      rules: ["ABI-101"],
      inProcess: inProcess,
      executable: Kit.executable
    )
    suite.options = [try GivenOption(option)]
    return suite
  }

  @Test("are refused where one is given twice, or has another form")
  func twice() throws {
    try withTemporaryDirectory { folder in
      let file = try Kit.build(nil, in: folder)
      let error = try #require(throws: ReFTError.self) {
        try Kit.check(file, options: ["rank=2", "scale=1", "rank=3"])
      }
      #expect(error.code == .usage)
      #expect(
        error.message
          == "--option rank=2 and --option rank=3 set the same option; give it once"
      )
      let form = try #require(throws: ReFTError.self) { try GivenOption("rank") }
      #expect(form.code == .usage && form.message.hasPrefix("--option 'rank' must be NAME=VALUE"))
    }
  }

  @Test("a file reaches the plugin, in the checker's hands and in the host's")
  func table() throws {
    try files { folder in
      let file = try Kit.build(nil, of: "table", in: folder)
      let report = try Kit.check(file, options: ["table=\(folder)/table.bin"])
      requireFull(report)
      #expect(report.rules.first { $0.id == "ABI-325" }?.status == .passed)
    }
  }

  @Test("a tensor's own width is where all rules are run")
  func ownWidth() throws {
    try files { folder in
      let file = try Kit.build(nil, of: "input", in: folder)
      let report = try Kit.check(file, options: ["direction=\(folder)/v.safetensors#v"])
      requireFull(report)
      let messages = report.rules.reduce(into: [String: String]()) { $0[$1.id] = $1.message }
      #expect(messages["ABI-201"] == "org.reft.input serves 48.")
      #expect(messages["ABI-221"] == "6 calls at widths 48.")
    }
  }

  @Test("stand in the command that repeats a failure")
  func replay() throws {
    try withTemporaryDirectory { folder in
      let file = try Kit.build("FORGETS_BIAS_GRADIENT", in: folder)
      let options = ["rank=3", "mode=fancy"]
      let report = try Kit.check(file, rules: ["ABI-303"], options: options)
      let result = try #require(report.rules.first)
      #expect(result.status == .failed)
      #expect(
        result.replay
          == "reft plugin check \(file) --rule ABI-303 --seed 1 --option rank=3 --option mode=fancy"
      )
    }
  }

  /// Nothing is broken, and no rule was skipped for want of an instance.
  private func requireFull(_ report: Report) {
    for rule in report.rules where rule.status.isFault {
      Issue.record("\(rule.id) \(rule.status.rawValue): \(rule.message)")
    }
    #expect(report.passed)
    #expect(report.rules.allSatisfy { !$0.message.contains("cannot be created") })
  }
}
