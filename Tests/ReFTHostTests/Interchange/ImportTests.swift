// SPDX-License-Identifier: Apache-2.0
// Adapters of other programs: the folders of Tests/Fixtures/interchange, made with PyTorch.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Imports")
struct ImportTests {
  private func fixture(_ name: String) -> String { Fixture.path("interchange/" + name) }

  /// Runs a body with the tiny model, 2 blocks of width 64, and an empty folder.
  private func withModel(_ body: (BaseModel, _ folder: String) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      try body(BaseModel(LoadedModel(path: TinyModel().write(in: folder))), folder)
    }
  }

  private func load(
    _ format: AdapterFormat,
    _ name: String,
    _ base: BaseModel,
    positions: String? = nil,
    plugin: String? = nil
  ) throws -> Adapter {
    try AdapterImport(
      format: format,
      source: fixture(name),
      positions: positions.map { try PositionRule($0) },
      plugin: plugin
    ).adapter(base: base, catalog: BuiltPlugins.catalog())
  }

  /// Compares all parameters with those that PyTorch used.
  private func check(_ adapter: Adapter, _ name: String, tolerance: Float) throws {
    let expected = try Safetensors.read(path: fixture("expected.safetensors"))
    let names = expected.names.filter { $0.hasPrefix(name + "/") }
    #expect(names.count == adapter.parameters.infos.count)
    for (index, info) in adapter.parameters.infos.enumerated() {
      expectClose(
        Array(adapter.parameters.tensor(index)),
        try expected.floats(name + "/" + info.name),
        tolerance: tolerance,
        info.name
      )
    }
  }

  @Test("of pyreft's old names, 13 fields and bfloat16 give a set of weights for each end")
  func old() throws {
    try withModel { base, _ in
      let adapter = try load(.pyreft, "pyreft-old", base, positions: "f2+l2")
      #expect(adapter.specs.count == 1)
      let spec = adapter.specs[0]
      #expect(spec.plugin == "loreft" && spec.layers == [0, 1] && !spec.shareWeights)
      #expect(spec.options["rank"] == .int(3) && spec.positions.description == "f2+l2")
      try check(adapter, "pyreft-old", tolerance: 0)
    }
  }

  @Test("of parametrised rotations give the rotation that PyTorch computes")
  func parametrised() throws {
    try withModel { base, _ in
      let direft = try load(.pyreft, "pyreft-direft", base, positions: "l1")
      #expect(direft.specs[0].options["orthogonal"] == .flag(true))
      try check(direft, "pyreft-direft", tolerance: 1e-6)
      let consreft = try load(.pyreft, "pyreft-consreft", base, positions: "all")
      #expect(consreft.specs[0].plugin == "consreft" && consreft.specs[0].layers == [0])
      try check(consreft, "pyreft-consreft", tolerance: 1e-6)
      #expect(direft.warnings.isEmpty && consreft.warnings.isEmpty)
    }
  }

  @Test("keep a component and a projection's bias")
  func noreft() throws {
    try withModel { base, _ in
      let adapter = try load(.pyreft, "pyreft-noreft", base, positions: "f1")
      #expect(adapter.specs[0].component == .mlpOutput)
      #expect(adapter.specs[0].options["bias"] == .flag(true))
      try check(adapter, "pyreft-noreft", tolerance: 0)
    }
  }

  @Test("of AdapterHub take positions, activation and dropout from the folder")
  func adapterHub() throws {
    try withModel { base, _ in
      let adapter = try load(.adapterHub, "adapter-hub-loreft", base)
      let spec = adapter.specs[0]
      #expect(spec.plugin == "loreft" && spec.positions.description == "f1+l2")
      #expect(!spec.shareWeights && spec.options["activation"] == .string("relu"))
      #expect(spec.options["dropout"] == .float(0.05))
      try check(adapter, "adapter-hub-loreft", tolerance: 1e-6)
      let noreft = try load(.adapterHub, "adapter-hub-unsaid", base, plugin: "noreft")
      #expect(noreft.specs[0].plugin == "noreft")
      try check(noreft, "adapter-hub-unsaid", tolerance: 0)
    }
  }

  @Test("ask for what the source does not say")
  func asks() throws {
    try withModel { base, _ in
      func message(_ body: () throws -> Adapter) -> String {
        let error = #expect(throws: ReFTError.self) { _ = try body() }
        #expect(error?.code == .usage)
        return error?.message ?? ""
      }
      #expect(message { try load(.pyreft, "pyreft-old", base) }.contains("give --positions"))
      #expect(
        message { try load(.pyreft, "pyreft-old", base, positions: "l1") }
          .contains("--positions l1 names only one group")
      )
      #expect(
        message { try load(.adapterHub, "adapter-hub-unsaid", base) }
          .contains("it may be noreft or direft; give --plugin")
      )
      #expect(
        message { try load(.adapterHub, "adapter-hub-loreft", base, plugin: "direft") }
          .contains("says that it is loreft")
      )
      #expect(
        message { try load(.pyreft, "pyreft-direft", base, positions: "l1", plugin: "direft") }
          .contains("--plugin direft has no meaning for the format pyreft")
      )
    }
  }

  @Test("for a model of another width name both shapes")
  func otherModel() throws {
    try withTemporaryDirectory { folder in
      var shape = TinyModel()
      shape.hiddenSize = 32
      let base = BaseModel(try LoadedModel(path: shape.write(in: folder)))
      let error = #expect(throws: ReFTError.self) {
        _ = try load(.pyreft, "pyreft-direft", base, positions: "l1")
      }
      #expect(error?.code == .usage)
      #expect(error?.message.contains("the shape [3, 64]") == true)
      #expect(error?.message.contains("it must be [3, 32]") == true)
    }
  }

  @Test("refuse classes, fields and files that they do not know, with the place in config.json")
  func refuses() throws {
    try withModel { base, folder in
      let files = FileManager.default
      let source = folder + "/saved"
      try files.copyItem(atPath: fixture("pyreft-direft"), toPath: source)
      let config = try String(contentsOfFile: source + "/config.json", encoding: .utf8)
      func refusal(_ old: String, _ new: String) throws -> String {
        #expect(config.contains(old))
        try config.replacing(old, with: new)
          .write(toFile: source + "/config.json", atomically: true, encoding: .utf8)
        let request = AdapterImport(
          format: .pyreft,
          source: source,
          positions: try PositionRule("l1")
        )
        let error = #expect(throws: ReFTError.self) {
          _ = try request.adapter(base: base, catalog: BuiltPlugins.catalog())
        }
        return error?.message ?? ""
      }
      #expect(
        try refusal("pyreft.interventions.Direft", "os.Direft")
          .contains("config.json:9:5: intervention_types.0 is '<class 'os.DireftIntervention'>'")
      )
      #expect(try refusal("\"pos\"", "\"h\"").contains("single heads are not taken over"))
      #expect(try refusal("      null,\n", "").contains("13 or 14 fields"))
      let nulls = [String](repeating: "null", count: 4).joined(separator: ",\n      ")
      #expect(
        try refusal(nulls + ",\n      null", nulls + ",\n      \"other\"")
          .contains("null: interventions with intervention_link_key are not taken over")
      )
      #expect(
        try refusal("      1,\n      \"block", "      7,\n      \"block").contains("intkey_layer_7")
      )
      try files.removeItem(atPath: source + "/config.json")
      let error = #expect(throws: ReFTError.self) {
        _ = try AdapterImport(format: .pyreft, source: source)
          .adapter(base: base, catalog: BuiltPlugins.catalog())
      }
      #expect(error?.code == .inputMissing)
      #expect(error?.message.contains("a checkpoint of pyreft's trainer lacks it") == true)
    }
  }
}
