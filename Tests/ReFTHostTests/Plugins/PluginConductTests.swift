// SPDX-License-Identifier: Apache-2.0
// Plugins that load and then break their contract, or change what is not theirs.

import CReFTPlatform
import Foundation
import ReFTHost
import ReFTTensor
import Testing
import _ReFTTestSupport

/// A fault that shows when an instance is made or called.
struct ConductCase: Sendable, CustomTestStringConvertible {
  var name: String
  var macros: [String: String]
  var code: ReFTError.Code = .misbehaved
  var says: String
  var testDescription: String { name }
}

@Suite("Plugins that misbehave", .serialized)
struct PluginConductTests {
  private let site = PluginSite(dim: 8, layer: 0, component: "block_output")

  /// Makes an instance and edits two rows.
  private func use(_ plugin: Plugin) throws -> [Float] {
    let instance = try plugin.makeInstance(at: site, options: [:])
    _ = try instance.plan(maxRows: 2)
    let (x, y, v) = (FloatBuffer(count: 16), FloatBuffer(count: 16), FloatBuffer(count: 16))
    for index in 0..<16 { x[index] = Float(index) }
    var call = PluginCall(rows: 2, x: x.base, xStride: 8)
    (call.y, call.yStride, call.parameterCount) = (y.base, 8, 1)
    let pointers: [UnsafeRawPointer?] = [UnsafeRawPointer(v.base)]
    try pointers.withUnsafeBufferPointer {
      call.parameters = $0.baseAddress
      try instance.forward(call)
    }
    return withExtendedLifetime((x, v)) { Array(y.values) }
  }

  @Test(
    "are named with their fault",
    arguments: [
      ConductCase(
        name: "create fails",
        macros: ["CREATE_FAILS": "1"],
        code: .badConfiguration,
        says: "failed in create with REFT_E_UNSUPPORTED: the moon is full"
      ),
      ConductCase(
        name: "create lies",
        macros: ["CREATE_LIES": "1"],
        says: "create reports success and returns no instance"
      ),
      ConductCase(name: "rank 5", macros: ["PARAM": "info.rank=5"], says: "has 5 dimensions"),
      ConductCase(
        name: "no size",
        macros: ["PARAM": "info.dims[0]=0"],
        says: "has a dimension of 0"
      ),
      ConductCase(
        name: "negative size",
        macros: ["PARAM": "info.dims[0]=-3"],
        says: "a dimension of -3"
      ),
      ConductCase(
        name: "overflow",
        macros: ["PARAM": "info.rank=3,info.dims[0]=info.dims[1]=info.dims[2]=1ll<<31"],
        says: "has more than 4294967296 values"
      ),
      ConductCase(
        name: "double",
        macros: ["PARAM": "info.dtype=REFT_F64"],
        says: "is of dtype 2"
      ),
      ConductCase(name: "no name", macros: ["PARAM": "info.name.len=0"], says: "has no name"),
      ConductCase(
        name: "a path for a name",
        macros: ["PARAM": "info.name=(reft_str_t)STR(\"../v\")"],
        says: "has no name of letters"
      ),
      ConductCase(name: "the same twice", macros: ["N_PARAMS": "2"], says: "'v' is there twice"),
      ConductCase(
        name: "never ends",
        macros: [
          "N_PARAMS": "1000000",
          "PARAM": "static char n[8];n[0]=97+index/26%26;n[1]=97+index%26;n[2]=0;"
            + "info.name=(reft_str_t){n,2}",
        ],
        says: "it states more than 256 parameters"
      ),
      ConductCase(
        name: "unknown start",
        macros: ["PARAM": "info.init_kind=77"],
        says: "unknown init_kind 77"
      ),
      ConductCase(
        name: "copies itself",
        macros: ["PARAM": "info.init_kind=REFT_INIT_COPY"],
        says: "no earlier one of its shape"
      ),
      ConductCase(
        name: "orthonormal vector",
        macros: ["PARAM": "info.constraint=REFT_CONSTRAINT_ORTHONORMAL_ROWS"],
        says: "cannot have orthonormal rows"
      ),
      ConductCase(
        name: "rate that is no number",
        macros: ["PARAM": "info.learning_rate_scale=NAN"],
        says: "has a rate or decay scale"
      ),
      ConductCase(
        name: "too much memory",
        macros: ["PLAN": "out->scratch_bytes_per_row=1ull<<62"],
        says: "plan states scratch_bytes_per_row 4611686018427387904"
      ),
      ConductCase(
        name: "forward fails",
        macros: ["FORWARD": "return REFT_E_NUMERIC"],
        says: "failed in forward with REFT_E_NUMERIC and gave no reason"
      ),
      ConductCase(
        name: "unknown status",
        macros: ["FORWARD": "return 5"],
        says: "with unknown status 5"
      ),
      ConductCase(
        name: "writes NaN",
        macros: ["FORWARD": "((float*)args->y.data)[9]=NAN"],
        says: "left numbers that are not finite in forward over 2 rows"
      ),
      ConductCase(
        name: "writes infinity",
        macros: ["FORWARD": "((float*)args->y.data)[0]=INFINITY"],
        says: "not finite"
      ),
    ]
  )
  func faults(_ example: ConductCase) throws {
    try withTemporaryDirectory { folder in
      let plugin = try CompiledPlugin.loaded(example.macros, in: folder)
      let error = #expect(throws: ReFTError.self) { try use(plugin) }
      #expect(error?.code == example.code)
      #expect(error?.message.contains(example.says) == true, "\(error?.message ?? "")")
      #expect(error?.message.contains("'plain'") == true, "the plugin is not named")
    }
  }

  @Test("have the floating-point control word put back, at load and in calls")
  func controlWord() throws {
    let before = reft_system_fp_control()
    try withTemporaryDirectory { folder in
      let set = "_mm_setcsr(_mm_getcsr()|0x8040)"
      let atLoad = try CompiledPlugin.load(
        CompiledPlugin.make(["AT_LOAD": set], in: folder, name: "load.so")
      )
      #expect(reft_system_fp_control() == before)
      #expect(atLoad.description.warnings.count == 1)
      #expect(
        atLoad.description.warnings.first?.contains(
          "/load.so' turned flush-to-zero of tiny numbers on or off while it was loaded"
        ) == true
      )
      let inCall = try CompiledPlugin.loaded(["FORWARD": set], in: folder)
      #expect(inCall.description.warnings == [])
      #expect(try use(inCall)[3] == 3)
      #expect(reft_system_fp_control() == before)
    }
  }

  @Test("have signal handlers put back")
  func signals() throws {
    try withTemporaryDirectory { folder in
      let plugin = try CompiledPlugin.loaded(["AT_LOAD": "signal(SIGUSR2,SIG_IGN)"], in: folder)
      #expect(plugin.description.warnings.first?.contains("what signals 12 do") == true)
      var now = sigaction()
      sigaction(SIGUSR2, nil, &now)
      #expect(now.__sigaction_handler.sa_handler == nil)
    }
  }

  @Test("are named with the parameter whose gradient is first not finite")
  func gradientNotFinite() throws {
    try withTemporaryDirectory { folder in
      let plugin = try CompiledPlugin.loaded(["BACKWARD": "if(dv)dv[3]=NAN"], in: folder)
      let harness = InstanceHarness(try plugin.makeInstance(at: site, options: [:]), dim: 8)
      let x = [Float](repeating: 1, count: 16)
      let error = #expect(throws: ReFTError.self) {
        _ = try harness.backward(x, x, saved: [], gradients: harness.store.makeGradients())
      }
      #expect(error?.code == .misbehaved)
      #expect(
        error?.message.hasPrefix(
          "plugin 'plain' left numbers that are not finite in the gradient of 'v' in backward of layer "
            + "0, block_output, over 2 rows, and was given finite ones; "
        ) == true,
        "\(error?.message ?? "")"
      )
      // Parameters that are no numbers are nobody's fault here.
      harness.store.tensor(0)[0] = .infinity
      _ = try harness.backward(x, x, saved: [], gradients: harness.store.makeGradients())
    }
  }

  @Test("load the bytes that were hashed, whatever happens to the file meanwhile")
  func sealedBytes() throws {
    try withTemporaryDirectory { folder in
      let path = try CompiledPlugin.make(["ID": "\"org.test.first\""], in: folder)
      let file = try PluginFile(path: path)
      let other = try CompiledPlugin.make(
        ["ID": "\"org.test.second\""],
        in: folder,
        name: "other.so"
      )
      let bytes = try Data(contentsOf: URL(fileURLWithPath: other))
      try bytes.write(to: URL(fileURLWithPath: path))
      #expect(file.hash != "sha256:" + SHA256Digest.hex(of: bytes))
      let plugin = try #require(try InProcessLoader.load(file).first)
      #expect(plugin.id == "org.test.first")
      #expect(plugin.hash == file.hash)
      #expect(ftruncate(file.descriptor, 0) != 0)
      #expect(write(file.descriptor, "x", 1) == -1)
    }
  }

  @Test("that fill their own parameters do so from the seed")
  func customStart() throws {
    try withTemporaryDirectory { folder in
      let macros = ["INIT_PARAMS": "1", "PARAM": "info.flags|=REFT_PARAM_CUSTOM_INIT"]
      let plugin = try CompiledPlugin.loaded(macros, in: folder)
      let instance = try plugin.makeInstance(at: site, options: [:])
      #expect(instance.parameters.first?.initialization == .custom)
      let values = FloatBuffer(count: 8)
      try instance.initialize([UnsafeMutableRawPointer(values.base)], seed: 9)
      #expect(Array(values.values) == [2, 3, 4, 5, 6, 7, 8, 9])
      let without = try CompiledPlugin.load(
        CompiledPlugin.make(
          ["PARAM": "info.flags|=REFT_PARAM_CUSTOM_INIT"],
          in: folder,
          name: "without.so"
        )
      )
      let empty = try without.makeInstance(at: site, options: [:])
      #expect(throws: ReFTError.self) {
        try empty.initialize([UnsafeMutableRawPointer(values.base)], seed: 9)
      }
    }
  }

  @Test("of inference only refuse to be trained")
  func inferenceOnly() throws {
    try withTemporaryDirectory { folder in
      let plugin = try CompiledPlugin.loaded(
        ["SLOTS": "plugin.backward=0", "CAPS": "REFT_CAP_NO_BACKWARD"],
        in: folder
      )
      #expect(try use(plugin)[5] == 5)
      let instance = try plugin.makeInstance(at: site, options: [:])
      let x = FloatBuffer(count: 8)
      let error = #expect(throws: ReFTError.self) {
        try instance.backward(PluginCall(rows: 1, x: x.base, xStride: 8))
      }
      #expect(error?.code == .usage)
      withExtendedLifetime(x) {}
    }
  }

  @Test("count the time and the rows of their calls")
  func usage() throws {
    try withTemporaryDirectory { folder in
      let plugin = try CompiledPlugin.loaded(in: folder)
      let instance = try plugin.makeInstance(at: site, options: [:])
      #expect(instance.usage == PluginUsage())
      let (x, v) = (FloatBuffer(count: 24), FloatBuffer(count: 8))
      var call = PluginCall(rows: 3, x: x.base, xStride: 8)
      (call.y, call.yStride, call.parameterCount) = (x.base, 8, 1)
      let pointers: [UnsafeRawPointer?] = [UnsafeRawPointer(v.base)]
      try pointers.withUnsafeBufferPointer {
        call.parameters = $0.baseAddress
        for _ in 0..<5 { try instance.forward(call) }
      }
      #expect(instance.usage.forwardCalls == 5)
      #expect(instance.usage.rows == 15)
      #expect(instance.usage.forwardNanoseconds > 0)
      #expect(instance.usage.backwardCalls == 0)
      withExtendedLifetime((x, v)) {}
    }
  }

  @Test("a range without an upper end is no trouble for the message of a value below it")
  func endlessRange() throws {
    try withTemporaryDirectory { folder in
      let plugin = try CompiledPlugin.load(
        try CompiledPlugin.make(
          ["OPTION": ".default_i=1,.minimum=1,.maximum=INFINITY"],
          in: folder
        )
      )
      let error = #expect(throws: ReFTError.self) {
        _ = try plugin.resolvedOptions(["size": .int(0)])
      }
      #expect(error?.message.contains("a whole number from 1 to inf") == true)
    }
  }
}
