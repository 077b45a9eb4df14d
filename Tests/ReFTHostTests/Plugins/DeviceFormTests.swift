// SPDX-License-Identifier: Apache-2.0
// What plugins say of their kernels (reft.cuda/1), as the host reads it.

import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

/// A device form that cannot be launched.
struct DeviceFormCase: Sendable, CustomTestStringConvertible {
  var name: String
  var change: String
  var table = ""
  var says: String
  var testDescription: String { name }
}

@Suite("Device forms of plugins")
struct DeviceFormTests {
  private let site = PluginSite(dim: 24, layer: 0, component: "block_output")

  private func program(
    of plugin: Plugin,
    _ options: [String: OptionValue] = [:],
    isTraining: Bool = true
  ) throws -> DeviceProgram? {
    let instance = try plugin.makeInstance(at: site, options: options)
    let device = try #require(instance as? any DevicePluginInstance)
    return try device.deviceProgram(isTraining: isTraining)
  }

  @Test(
    "come with all of our plugins, and name functions that their text has",
    arguments: [
      "loreft", "direft", "noreft", "consreft", "lobireft", "reft-r1", "ablate", "clamp", "affine",
      "red", "additive-steering", "norm-steering",
    ]
  )
  func ours(name: String) throws {
    let plugin = try BuiltPlugins.catalog().find(name, isolation: Isolation.none)
    let program = try #require(try program(of: plugin))
    #expect(program.plugin == name)
    for kernel in program.forward + program.backward {
      #expect(
        program.source.contains(
          "extern \"C\" __global__ void \(kernel.name)(reft_cuda_call_t call)"
        )
      )
    }
    #expect(!program.backward.isEmpty)
    #expect(!program.needsOrigins)
  }

  @Test("of one plugin share a text, whatever their options")
  func oneText() throws {
    let plugin = try BuiltPlugins.catalog().find("loreft", isolation: Isolation.none)
    let first = try #require(try program(of: plugin, ["rank": .int(2)]))
    let second = try #require(
      try program(of: plugin, ["rank": .int(20), "activation": .string("gelu")])
    )
    #expect(first.source == second.source)
    #expect(first != second)
    #expect((first.savedPerRow, second.savedPerRow) == (4, 40))
    #expect(first.backward.last?.layers == 1 && second.backward.last?.layers == 8)
  }

  @Test(
    "do not drop out: with dropout there is one for inference alone",
    arguments: ["loreft", "direft"]
  )
  func dropout(name: String) throws {
    let plugin = try BuiltPlugins.catalog().find(name, isolation: Isolation.none)
    let options: [String: OptionValue] = ["dropout": .float(0.1)]
    #expect(try program(of: plugin, options) == nil)
    #expect(try program(of: plugin, options, isTraining: false) != nil)
  }

  @Test("are none for a subspace in more pieces than a program has numbers for")
  func pieces() throws {
    let plugin = try BuiltPlugins.catalog().find("loreft", isolation: Isolation.none)
    func options(_ pieces: Int) -> [String: OptionValue] {
      let list = (0..<pieces).map { String(2 * $0) }.joined(separator: ",")
      return ["rank": .int(24), "subspace": .string(list)]
    }
    let most = try #require(try program(of: plugin, options(11)))
    #expect(most.integers[8] == 11)
    #expect(try program(of: plugin, options(12)) == nil)
  }

  @Test("are none for plugins in another process")
  func isolated() throws {
    let plugin = try BuiltPlugins.catalog().find("loreft", isolation: .process)
    let instance = try plugin.makeInstance(at: site, options: [:])
    #expect(!(instance is any DevicePluginInstance))
  }

  @Test("are read as the plugin states them")
  func read() throws {
    try withTemporaryDirectory { folder in
      let plugin = try CompiledPlugin.loaded(["DEVICE": "(void)0"], in: folder)
      let found = try #require(try program(of: plugin))
      let kernel = DeviceProgram.Kernel(name: "add", share: .columns, tile: 256, layers: 2)
      #expect(found.forward == [kernel] && found.backward == [kernel])
      #expect((found.savedPerRow, found.scratchPerRow, found.scratchFixed) == (3, 0, 5))
      #expect(found.integers[31] == 7 && found.floats[0] == 0.5)
      #expect(found.scratchCount(rows: 4) == 5 && found.savedCount(rows: 4) == 12)
      #expect(kernel.grid(rows: 4, width: 257) == (2, 2))
      #expect(kernel.grid(rows: 0, width: 257) == (0, 2))
    }
  }

  @Test("are none when the plugin says so")
  func unsupported() throws {
    try withTemporaryDirectory { folder in
      let macros = ["DEVICE": "return REFT_E_UNSUPPORTED"]
      let plugin = try CompiledPlugin.loaded(macros, in: folder)
      #expect(try program(of: plugin) == nil)
    }
  }

  @Test(
    "that cannot be launched are the plugin's fault",
    arguments: [
      DeviceFormCase(
        name: "no text",
        change: "out->source.len=0",
        says: "a source that is not UTF-8 text"
      ),
      DeviceFormCase(
        name: "no forward",
        change: "out->n_forward=0",
        says: "states no forward kernel"
      ),
      DeviceFormCase(
        name: "no backward",
        change: "out->n_backward=0",
        says: "states no backward kernel, asked for training"
      ),
      DeviceFormCase(
        name: "null kernel",
        change: "out->n_forward=2",
        says: "states forward kernel 1 of 2 as null"
      ),
      DeviceFormCase(
        name: "many kernels",
        change: "out->n_backward=17",
        says: "states 17 backward kernels; at most 16 are possible"
      ),
      DeviceFormCase(
        name: "odd threads",
        change: "kernel.threads=100",
        says: "'add', with threads 100; it must be from 32 to 1024, a multiple of 32"
      ),
      DeviceFormCase(
        name: "no tile",
        change: "kernel.tile=0",
        says: "'add', with tile 0; it must be from 1 to 1048576"
      ),
      DeviceFormCase(
        name: "unknown share",
        change: "kernel.share=9",
        says: "states forward kernel 0 with the unknown share 9"
      ),
      DeviceFormCase(
        name: "no name",
        change: "kernel.name.len=0",
        says: "states forward kernel 0 with a name that no C function has"
      ),
      DeviceFormCase(
        name: "much memory",
        change: "out->saved_per_row=1ull<<40",
        says: "saved_per_row of 1099511627776 floats; at most 4294967296 are possible"
      ),
      DeviceFormCase(
        name: "no function",
        change: "(void)0",
        table: "table.program=NULL",
        says: "states a table without 'program'"
      ),
      DeviceFormCase(
        name: "failure",
        change: "return REFT_E_INTERNAL",
        says: "failed in program with REFT_E_INTERNAL"
      ),
    ]
  )
  func faults(one: DeviceFormCase) throws {
    try withTemporaryDirectory { folder in
      var macros = ["DEVICE": one.change]
      if !one.table.isEmpty { macros["DEVICE_TABLE"] = one.table }
      let plugin = try CompiledPlugin.loaded(macros, in: folder)
      let error = #expect(throws: ReFTError.self) { try program(of: plugin) }
      #expect(error?.code == .misbehaved)
      #expect(error?.message.contains("plain") == true)
      #expect(error?.message.contains(one.says) == true, "\(error?.message ?? "")")
    }
  }
}
