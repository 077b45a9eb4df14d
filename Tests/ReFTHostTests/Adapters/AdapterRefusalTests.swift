// SPDX-License-Identifier: Apache-2.0
// Adapter folders and interventions that do not fit, and the sentence for each.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

/// A change of an adapter's configuration, and what the refusal must say.
struct ConfigFault: Sendable, CustomTestStringConvertible {
  var name: String
  var old: String
  var new: String
  var code: ReFTError.Code = .badData
  var says: String
  var testDescription: String { name }
}

@Suite("Adapters that are refused")
struct AdapterRefusalTests {
  private func withAdapter(
    _ body: (LoadedModel, Adapter, _ folder: String) throws -> Void
  ) throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      let spec = InterventionSpec(
        plugin: "loreft",
        layers: [0, 1],
        positions: try PositionRule("f2+l2"),
        options: ["rank": .int(3)]
      )
      let adapter = try Adapter.create(
        specs: [spec],
        model: model,
        catalog: try BuiltPlugins.catalog(),
        seed: 1
      )
      try adapter.save(to: folder + "/a")
      try body(model, adapter, folder + "/a")
    }
  }

  @Test(
    "are named with the file, the place, what was found and what is expected",
    arguments: [
      ConfigFault(
        name: "not JSON",
        old: "{",
        new: "{,",
        says: "adapter_config.json:1:2: not JSON: expected a key in double quotes, found ','"
      ),
      ConfigFault(
        name: "format",
        old: "reft-adapter",
        new: "peft",
        says: "format is 'peft'; it must be 'reft-adapter'"
      ),
      ConfigFault(
        name: "version",
        old: "\"format_version\" : 1",
        new: "\"format_version\" : 2",
        says: "format_version is 2; this program reads 1"
      ),
      ConfigFault(
        name: "architecture",
        old: "\"llama\"",
        new: "\"gpt2\"",
        code: .usage,
        says: "architecture gpt2"
      ),
      ConfigFault(
        name: "hidden size",
        old: "\"hidden_size\" : 64",
        new: "\"hidden_size\" : 65",
        code: .usage,
        says: "hidden_size 65"
      ),
      ConfigFault(
        name: "layers",
        old: "\"layers\" : 2",
        new: "\"layers\" : 3",
        code: .usage,
        says: "layers 3; the model"
      ),
      ConfigFault(
        name: "type",
        old: "\"share_weights\" : true",
        new: "\"share_weights\" : 1",
        says: "interventions.0.share_weights is 1; it must be true or false"
      ),
      ConfigFault(
        name: "unknown key",
        old: "\"share_weights\"",
        new: "\"share_weight\"",
        says: "did you mean 'share_weights'?"
      ),
      ConfigFault(
        name: "component",
        old: "block_output",
        new: "block_outputs",
        says: "interventions.0.component is 'block_outputs'; it must be one of block_input"
      ),
      ConfigFault(
        name: "positions",
        old: "f2+l2",
        new: "l2+f2",
        says: "interventions.0.positions: positions 'l2+f2' cannot be read"
      ),
      ConfigFault(
        name: "layer",
        old: "        1\n",
        new: "        2\n",
        code: .badConfiguration,
        says: "names layer 2; the model has 2 blocks"
      ),
      ConfigFault(
        name: "plugin",
        old: "\"loreft\"",
        new: "\"lorefd\"",
        code: .badData,
        says: "names the plugin 'lorefd' and the id 'org.reft.loreft'"
      ),
      ConfigFault(
        name: "option",
        old: "\"rank\"",
        new: "\"ranks\"",
        code: .badConfiguration,
        says: "has no option 'ranks'; it has activation, dropout, init, rank, subspace, subspaces; "
          + "did you mean 'rank'?"
      ),
      ConfigFault(
        name: "rank",
        old: "\"rank\" : 3",
        new: "\"rank\" : 4",
        says: "'interventions.0.layers.0.rotate.weight' has the shape [3, 64]"
      ),
      ConfigFault(
        name: "rank above the width",
        old: "\"rank\" : 3",
        new: "\"rank\" : 65",
        code: .badConfiguration,
        says: "rank must lie between 1 and the width"
      ),
      ConfigFault(
        name: "rank of 0",
        old: "\"rank\" : 3",
        new: "\"rank\" : 0",
        code: .badConfiguration,
        says: "it must be a whole number from 1 to 65536"
      ),
      ConfigFault(
        name: "option type",
        old: "\"rank\" : 3",
        new: "\"rank\" : \"three\"",
        code: .badConfiguration,
        says: "is three (a text); it must be a whole number"
      ),
    ]
  )
  func configuration(_ fault: ConfigFault) throws {
    try withAdapter { model, _, folder in
      let path = folder + "/adapter_config.json"
      let text = try String(contentsOfFile: path, encoding: .utf8)
      let range = try #require(text.range(of: fault.old))
      try text.replacingCharacters(in: range, with: fault.new)
        .write(toFile: path, atomically: false, encoding: .utf8)
      let error = #expect(throws: ReFTError.self) {
        try Adapter.load(path: folder, model: model, catalog: try BuiltPlugins.catalog())
      }
      #expect(error?.code == fault.code)
      #expect(error?.message.contains(fault.says) == true, "\(error?.message ?? "")")
    }
  }

  @Test("are named when tensors are missing, unknown, misshapen or not finite")
  func tensors() throws {
    try withAdapter { model, adapter, folder in
      let good = adapter.parameters.infos.indices.map {
        NamedTensor(
          name: adapter.parameters.infos[$0].name,
          shape: adapter.parameters.infos[$0].shape,
          values: Array(adapter.parameters.tensor($0))
        )
      }
      func refuse(_ tensors: [NamedTensor], _ says: String) throws {
        try Safetensors.write(tensors, metadata: [:], to: folder + "/adapter_model.safetensors")
        let error = #expect(throws: ReFTError.self) {
          try Adapter.load(path: folder, model: model, catalog: try BuiltPlugins.catalog())
        }
        #expect(error?.code == .badData)
        #expect(error?.message.contains(says) == true, "\(error?.message ?? "")")
      }
      try refuse(Array(good.dropFirst()), "lacks 'interventions.0.layers.0.rotate.weight'")
      let extra = NamedTensor(name: "more", shape: [1], values: [1])
      try refuse(good + [extra], "has 'more', which no intervention owns")
      var misshapen = good
      misshapen[2] = NamedTensor(name: good[2].name, shape: [1, 3], values: good[2].values)
      try refuse(misshapen, "has the shape [1, 3]; its intervention needs [3]")
      var broken = good
      broken[0].values[5] = .nan
      try refuse(broken, "holds numbers that are not finite")
    }
  }

  @Test("are used with a warning when R, the model or the plugin's build is not as it was")
  func warnings() throws {
    try withAdapter { model, adapter, folder in
      adapter.parameters.tensor(0)[0] += 0.5
      try adapter.save(to: folder)
      let path = folder + "/adapter_config.json"
      var text = try String(contentsOfFile: path, encoding: .utf8)
      text = text.replacingOccurrences(of: model.fingerprint, with: "sha256:00")
      text = text.replacingOccurrences(
        of: "\"plugin_version\" : \"1.0.0\"",
        with: "\"plugin_version\" : \"0.9.0\""
      )
      try text.write(toFile: path, atomically: false, encoding: .utf8)
      let loaded = try Adapter.load(
        path: folder,
        model: model,
        catalog: try BuiltPlugins.catalog()
      )
      #expect(loaded.warnings.count == 3)
      #expect(loaded.warnings.contains { $0.contains("another fingerprint") })
      #expect(loaded.warnings.contains { $0.contains("version 0.9.0 of plugin 'loreft'") })
      #expect(loaded.warnings.contains { $0.contains("rotate.weight' are not orthonormal") })
    }
  }

  @Test("are named when the folder is missing or no adapter")
  func missing() throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      for path in [folder + "/none", folder, folder + "/tiny.gguf"] {
        let error = #expect(throws: ReFTError.self) {
          try Adapter.load(path: path, model: model, catalog: try BuiltPlugins.catalog())
        }
        #expect(error?.code == .inputMissing)
      }
    }
  }
}
