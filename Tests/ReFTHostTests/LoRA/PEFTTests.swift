// SPDX-License-Identifier: Apache-2.0
// LoRAs from and to PEFT's folders: names, rows, and what is refused.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("PEFT's folders")
struct PEFTTests {
  /// The tensors of a folder by name.
  private func tensors(_ folder: String) throws -> [String: [Float]] {
    let file = try Safetensors.read(path: folder + "/adapter_model.safetensors")
    return try Dictionary(
      uniqueKeysWithValues: file.names.map { ($0, try file.floats($0)) }
    )
  }

  private func config(_ folder: String) throws -> [String: Any] {
    let data = try #require(FileManager.default.contents(atPath: folder + "/adapter_config.json"))
    return try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
  }

  @Test("come back as they were", arguments: try LoRAFixture.all())
  func roundTrip(_ fixture: LoRAFixture) throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: fixture.modelFolder)
      try fixture.adapter(model).save(to: folder + "/ours")
      let loaded = try Adapter.load(
        path: folder + "/ours",
        model: model,
        catalog: BuiltPlugins.catalog()
      )
      #expect(loaded.lora?.spec == (try fixture.adapter(model).lora?.spec))
      let export = try AdapterExport(format: .peft, adapter: folder + "/ours")
      _ = try export.write(to: folder + "/theirs")
      #expect(try tensors(folder + "/theirs") == tensors(fixture.folder))
      let (ours, theirs) = (try config(folder + "/theirs"), try config(fixture.folder))
      for key in ["r", "lora_alpha", "use_rslora", "fan_in_fan_out", "layers_to_transform"] {
        let (a, b) = (ours[key] as? NSObject, theirs[key] as? NSObject)
        #expect(a == b, "\(key)")
      }
    }
  }

  private func make(_ targets: [BlockProjection], _ model: LoadedModel, in folder: String) throws {
    let adapter = try Adapter.create(
      specs: [],
      lora: LoRASpec(rank: 2, targets: targets, layers: [1]),
      model: model,
      catalog: BuiltPlugins.catalog(),
      seed: 1
    )
    for index in adapter.parameters.infos.indices {
      let tensor = adapter.parameters.tensor(index)
      for place in tensor.indices { tensor[place] = Float(place) / 100 }
    }
    try adapter.save(to: folder)
  }

  @Test("have a stacked update as one for each matrix, with the same A")
  func split() throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: Fixture.path("tiny/llama"))
      try make([.queryKeyValue, .gateUp], model, in: folder + "/ours")
      _ = try AdapterExport(format: .peft, adapter: folder + "/ours").write(to: folder + "/theirs")
      let back = try AdapterImport(format: .peft, source: folder + "/theirs")
        .adapter(base: BaseModel(model), catalog: BuiltPlugins.catalog())
      #expect(back.lora?.spec.targets == [.query, .key, .value, .gate, .up])
      let loaded = try Adapter.load(
        path: folder + "/ours",
        model: model,
        catalog: BuiltPlugins.catalog()
      )
      let text: [Int32] = [5, 8, 13, 21, 34, 55, 89]
      let losses = try [loaded, back].map { adapter in
        var batch = LoRABatch()
        batch.append(text, text, adapter)
        return try batch.losses(ModelRuntime(model: model.frozen))
      }
      expectClose(losses[0], losses[1], tolerance: 1e-6, "losses")
    }
  }

  @Test("refuse a part of a module that the family has whole, and an adapter with edits")
  func exportRefusals() throws {
    try withTemporaryDirectory { folder in
      let gpt2 = try LoadedModel(path: Fixture.path("tiny/gpt2"))
      try make([.value], gpt2, in: folder + "/gpt2")
      let part = #expect(throws: ReFTError.self) {
        try AdapterExport(format: .peft, adapter: folder + "/gpt2").write(to: folder + "/theirs")
      }
      #expect(part?.code == .usage)
      #expect(part?.message.contains("qkv_proj, o_proj, up_proj, down_proj") == true)
      let model = try LoadedModel(path: Fixture.path("tiny/llama"))
      try make([.value], model, in: folder + "/ours")
      let error = #expect(throws: ReFTError.self) {
        try AdapterExport(format: .pyreft, adapter: folder + "/ours")
      }
      #expect(error?.message.contains("--format peft") == true)
    }
  }

  /// Keys of a configuration that ask for more than a LoRA.
  static let faults: [(key: String, value: String, says: String)] = [
    ("use_dora", "true", "use_dora is true"),
    ("rank_pattern", "{\"q_proj\":4}", "rank_pattern is"),
    ("bias", "\"all\"", "bias is 'all'"),
    ("modules_to_save", "[\"lm_head\"]", "modules_to_save is"),
    ("init_lora_weights", "\"pissa_niter_4\"", "init_lora_weights is"),
    ("peft_type", "\"IA3\"", "peft_type is 'IA3'"),
    ("alora_invocation_tokens", "[1,2]", "alora_invocation_tokens is"),
    ("r", "5", "must be [5,"),
  ]

  @Test("that hold more than a LoRA are refused by the key's name", arguments: faults.indices)
  func importRefusals(_ index: Int) throws {
    let fault = Self.faults[index]
    let fixture = try LoRAFixture.named("llama")
    try withTemporaryDirectory { folder in
      let place = folder + "/peft"
      try FileManager.default.copyItem(atPath: fixture.folder, toPath: place)
      var config = try config(place)
      config[fault.key] = try JSONSerialization.jsonObject(
        with: Data(fault.value.utf8),
        options: .fragmentsAllowed
      )
      try JSONSerialization.data(withJSONObject: config)
        .write(to: URL(fileURLWithPath: place + "/adapter_config.json"))
      let model = try LoadedModel(path: fixture.modelFolder)
      let error = #expect(throws: ReFTError.self) {
        try AdapterImport(format: .peft, source: place)
          .adapter(base: BaseModel(model), catalog: BuiltPlugins.catalog())
      }
      #expect(error?.message.contains(fault.says) == true, "\(error?.message ?? "")")
    }
  }
}
