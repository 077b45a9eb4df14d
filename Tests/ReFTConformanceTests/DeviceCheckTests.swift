// SPDX-License-Identifier: Apache-2.0
// The rules of device forms, on the card that the tests emulate: ours keep them, and each broken one is
// caught by its rule.

import Foundation
import ReFTCUDA
import ReFTConformance
import Testing
import _ReFTTestSupport

/// A device form with a fault, and the rule that must find it.
struct DeviceFault: Sendable, CustomTestStringConvertible {
  var name: String
  var rule: String
  var says: String
  var testDescription: String { name }
}

@Suite("The check of device forms", .serialized)
struct DeviceCheckTests {
  private func check(_ file: String) throws -> [RuleResult] {
    let library = Kit.products + "/libCUDAEmulator.so"
    let device = try CUDADevice.open(libraries: .emulated(library), cache: nil)
    return try DeviceCheck(file: file, seed: 1).run(on: device)
  }

  @Test(
    "passes our own plugins",
    arguments: [
      "LoReFT", "DiReFT", "AdditiveSteering", "LowRankFamily", "ProjectionFamily", "RED",
    ]
  )
  func ours(name: String) throws {
    let results = try check(Kit.products + "/lib\(name).so")
    #expect(results.map(\.id) == ["ABI-601", "ABI-602", "ABI-603", "ABI-604"])
    for result in results {
      #expect(result.status == .passed, "\(result.id): \(result.message)")
      #expect(result.message.contains(" cases"))
    }
  }

  @Test("passes a correct one of the kit")
  func correct() throws {
    try withTemporaryDirectory { folder in
      let results = try check(try Kit.build(nil, of: "device", in: folder))
      #expect(results.map(\.status) == [.passed, .passed, .passed, .passed], "\(results)")
    }
  }

  @Test(
    "catches each broken one by its rule",
    arguments: [
      DeviceFault(name: "FORGETS_SCALE", rule: "ABI-601", says: "y of org.reft.device (9 rows"),
      DeviceFault(
        name: "NO_CUDA",
        rule: "ABI-601",
        says: "its device form (reft.cuda/1) cannot be used"
      ),
      DeviceFault(name: "NO_KERNEL", rule: "ABI-601", says: "backwards"),
      DeviceFault(
        name: "FORGETS_DX",
        rule: "ABI-602",
        says: "dx of org.reft.device (1 rows of 24)"
      ),
      DeviceFault(name: "FORGETS_GRADIENT", rule: "ABI-602", says: "the gradient of \"v\""),
      DeviceFault(name: "READS_DIRTY_SCRATCH", rule: "ABI-603", says: "in the same call again"),
      DeviceFault(name: "WRITES_BEHIND_Y", rule: "ABI-604", says: "writes outside y"),
      DeviceFault(name: "WRITES_X", rule: "ABI-604", says: "writes to x, which it may only read"),
    ]
  )
  func broken(fault: DeviceFault) throws {
    try withTemporaryDirectory { folder in
      let file = try Kit.build(fault.name, of: "device", in: folder)
      let results = try check(file)
      let first = try #require(results.first { $0.status.isFault }, "\(results)")
      #expect(first.id == fault.rule, "\(first.message)")
      #expect(first.message.contains(fault.says), "\(first.message)")
      #expect(first.replay == "reft plugin check \(file) --device cuda")
    }
  }

  @Test("skips plugins that have no device form")
  func none() throws {
    try withTemporaryDirectory { folder in
      let results = try check(try Kit.build(nil, in: folder))
      #expect(results.count == 4 && results.allSatisfy { $0.status == .skipped })
      #expect(results[0].message == "No plugin of the file has a device form (reft.cuda/1).")
    }
  }

  @Test("is asked for with --device: as a rule by name it says so")
  func byName() throws {
    let report = try Kit.check(Kit.products + "/libRED.so", rules: ["ABI-602"])
    #expect(report.rules.map(\.status) == [.skipped])
    #expect(
      report.rules[0].message == "Run on a card alone: reft plugin check FILE --device cuda."
    )
  }

  @Test("gives kernels the struct of reft_cuda.h")
  func definition() throws {
    let header = try String(
      contentsOfFile: Kit.repository + "/Sources/CReFTPlugin/include/reft_cuda.h",
      encoding: .utf8
    )
    let begin = try #require(header.range(of: "typedef struct reft_cuda_call {"))
    let end = try #require(header.range(of: "} reft_cuda_call_t;"))
    let body = header[begin.upperBound..<end.lowerBound]
      .replacing(/\/\*(.|\n)*?\*\//, with: "")
      .replacing("int32_t", with: "int")
      .replacing("REFT_CUDA_PARAMS", with: "16")
      .replacing("REFT_CUDA_NUMBERS", with: "32")
    let ours = try #require(
      DeviceEditCall.definition.split(separator: "{").last?.split(separator: "}").first
    )
    #expect(fields(body) == fields(ours) && fields(ours).count == 21)
  }

  private func fields(_ text: some StringProtocol) -> [String] {
    text.split(separator: ";").map {
      $0.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }
    .filter { !$0.isEmpty }
  }
}
