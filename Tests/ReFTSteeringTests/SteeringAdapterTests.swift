// SPDX-License-Identifier: Apache-2.0
// Adapters of steering vectors, control vectors, and steering on an emulated card.

import ReFTCUDA
import ReFTHost
import ReFTModel
import ReFTSteering
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Steering on a card")
struct SteeringOnCardTests {
  @Test("finds the directions and effects of the processor, as near as bfloat16 is")
  func agrees() throws {
    try withTemporaryDirectory { folder in
      let bench = try Steered(folder)
      let library = try #require(BuiltPlugins.folder) + "/libCUDAEmulator.so"
      let card = CUDAComputeDevice(
        try CUDADevice.open(0, libraries: .emulated(library), cache: nil)
      )
      let vectors = [ProcessorDevice.shared, card as any ComputeDevice].map { device in
        Result { try Steered.extraction(bench.contrast, bench.model, device).vectors }
      }
      for (one, other) in zip(try vectors[0].get(), try vectors[1].get()) {
        let cosine = zip(one.direction, other.direction).reduce(0) { $0 + $1.0 * $1.1 }
        #expect(cosine > 0.98, "layer \(one.layer)")
      }
      let here = try bench.sweep().run(into: bench.store("here"))
      let there = try bench.sweep(device: card).run(into: bench.store("there"))
      for (one, other) in zip(here, there) {
        #expect(one.setting == other.setting)
        #expect(abs(one.effect - other.effect) < 0.1 * abs(one.effect) + 0.02)
        #expect(abs((one.divergence ?? 0) - (other.divergence ?? 1)) < 0.02)
      }
    }
  }
}

@Suite("Steering adapters")
struct SteeringAdapterTests {
  @Test("hold a step of the median row's length, and say what it means")
  func adapter() throws {
    try withTemporaryDirectory { folder in
      let bench = try Steered(folder, plugin: "norm-steering")
      let path = folder + "/adapter"
      try bench.adapter.save(to: path)
      let loaded = try Adapter.load(path: path, model: bench.model, catalog: bench.catalog)
      #expect(loaded.specs[0].plugin == "norm-steering" && loaded.specs[0].layers == [0, 1])
      #expect(loaded.specs[0].options["alpha"] == .float(0.2))
      let extraction = try Steered.extraction(bench.contrast, bench.model)
      for (index, vector) in extraction.vectors.enumerated() {
        let values = Array(loaded.parameters.tensor(index))
        let length = values.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
        #expect(abs(length / vector.medianNorm - 1) < 1e-5)
      }
      let record = SteeringRecord(loaded)
      #expect(record.heldOut == 0.25 && record.seed == 0 && record.limit == nil)
      guard case .object(let facts)? = loaded.trainingInfo["steering"] else {
        Issue.record("no record of the extraction")
        return
      }
      #expect(facts["unit"] == .string("median-norm"))
      #expect(facts["method"] == .string("mean-difference"))
    }
  }

  @Test("go to a GGUF control vector of the layers that they steer, and back")
  func controlVector() throws {
    try withTemporaryDirectory { folder in
      let bench = try Steered(folder)
      let extraction = try SteeringExtraction(
        of: bench.contrast,
        plan: ExtractionPlan(layers: [1]),
        encoder: ContrastEncoder(model: bench.model, usesChat: false),
        model: bench.model
      )
      let adapter = try extraction.adapter(
        SteeringEdit(unit: .raw, strength: 2),
        model: bench.model,
        catalog: bench.catalog
      )
      let path = folder + "/v.gguf"
      try adapter.writeControlVector(to: path)
      let file = try GGUFFile(path: path)
      #expect(file.string("reft.layer_convention") == "applied")
      #expect(file.tensors.map(\.name) == ["direction.1"])
      let back = try AdapterImport(format: .controlVector, source: path)
        .adapter(base: BaseModel(bench.model), catalog: bench.catalog)
      #expect(back.specs[0].layers == [1])
      let vector = extraction.vectors[0]
      expectClose(
        Array(back.parameters.tensor(0)),
        vector.direction.map { $0 * Float(2 * vector.gap) },
        tolerance: 1e-5
      )
      // Block 0 has no place in the format.
      #expect {
        try bench.adapter.writeControlVector(to: path)
      } throws: { "\($0)".contains("block 0") }
    }
  }

  @Test("of a plugin without a vector are refused with those that have one")
  func otherPlugin() throws {
    try withTemporaryDirectory { folder in
      _ = #expect {
        _ = try Steered(folder, plugin: "red")
      } throws: { "\($0)".contains("'alpha'") && "\($0)".contains("red") }
    }
  }
}
