// SPDX-License-Identifier: Apache-2.0
// What the layers of control vectors mean, by who made them.

import Foundation
import ReFTHost
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Control vectors")
struct ControlVectorTests {
  private func load(
    _ count: GGUFWriter.Value?,
    direction: String = "direction.1",
    width: Int = 64,
    convention: LayerConvention? = nil
  ) throws -> Adapter {
    try withTemporaryDirectory { folder in
      let base = BaseModel(try LoadedModel(path: TinyModel().write(in: folder)))
      var file = GGUFWriter()
      file.set("general.architecture", .string("controlvector"))
      file.set("controlvector.model_hint", .string("llama"))
      if let count { file.set("controlvector.layer_count", count) }
      file.add(
        direction,
        .f32,
        dimensions: [width],
        values: [Float](repeating: 0.25, count: width)
      )
      let path = folder + "/v.gguf"
      try file.write(to: path)
      return try AdapterImport(format: .controlVector, source: path, layerConvention: convention)
        .adapter(base: base, catalog: BuiltPlugins.catalog())
    }
  }

  private func message(_ body: () throws -> Adapter) -> String {
    let error = #expect(throws: ReFTError.self) { _ = try body() }
    return error?.message ?? ""
  }

  @Test(
    "of repeng edit the block of their number; of llama.cpp's generator, the one that is asked for"
  )
  func conventions() throws {
    #expect(try load(.uint32(1)).specs[0].layers == [1])
    #expect(message { try load(.int32(1)) }.contains("give --layer-convention applied"))
    #expect(message { try load(nil) }.contains("it does not say who made it"))
    #expect(try load(.int32(1), convention: .applied).specs[0].layers == [1])
    #expect(try load(.int32(1), convention: .extracted).specs[0].layers == [0])
    #expect(try load(nil, direction: "direction.2", convention: .extracted).specs[0].layers == [1])
    guard
      case .object(let facts)? = try load(.int32(1), convention: .extracted).trainingInfo[
        "imported"
      ]
    else {
      Issue.record("nothing is recorded of the source")
      return
    }
    #expect(facts["layer_convention"] == .string("extracted"))
    #expect(facts["producer"] == .string("llama.cpp"))
  }

  @Test("with layers, names and widths that cannot be are refused")
  func refuses() throws {
    #expect(
      message { try load(.uint32(1), direction: "direction.0") }.contains("begin with direction.1")
    )
    #expect(
      message { try load(.uint32(1), direction: "direction.2") }.contains("would edit block 2")
    )
    for name in ["direction.x", "direction.01", "direction.-1", "direction.", "other.1"] {
      #expect(
        message { try load(.uint32(1), direction: name) }.contains("has the tensor '\(name)'")
          || message { try load(.uint32(1), direction: name) }.contains("begin with direction.1")
      )
    }
    #expect(message { try load(.uint32(1), width: 32) }.contains("has the shape [32]"))
  }

  @Test("are not models, and models are not control vectors")
  func otherFiles() throws {
    try withTemporaryDirectory { folder in
      let path = try TinyModel().write(in: folder)
      let base = BaseModel(try LoadedModel(path: path))
      #expect(
        message {
          try AdapterImport(format: .controlVector, source: path)
            .adapter(base: base, catalog: BuiltPlugins.catalog())
        }.contains("has the general.architecture 'llama', not 'controlvector'")
      )
    }
  }
}
