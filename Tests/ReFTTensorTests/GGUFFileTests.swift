// SPDX-License-Identifier: Apache-2.0
// Sound GGUF files: everything that was written can be read.

import ReFTTensor
import Testing
import _ReFTTestSupport

struct GGUFFileTests {
  @Test("reads back metadata of every type")
  func metadata() throws {
    var writer = GGUFWriter()
    writer.set("u8", .uint8(200))
    writer.set("u32", .uint32(4_000_000_000))
    writer.set("i32", .int32(-5))
    writer.set("u64", .uint64(1 << 40))
    writer.set("huge", .uint64(.max))
    writer.set("f32", .float32(0.5))
    writer.set("f64", .float64(-1e300))
    writer.set("yes", .bool(true))
    writer.set("text", .string("naïve 🙂"))
    writer.set("texts", .strings(["", "a", "Ġthe"]))
    writer.set("ints", .int32s([-1, 0, 7]))
    writer.set("floats", .float32s([1.5, -2]))
    writer.set("none", .int32s([]))
    let file = try open(writer)
    #expect(file.version == 3)
    #expect(file.metadata.count == 13)
    #expect(file.int("u8") == 200)
    #expect(file.int("u32") == 4_000_000_000)
    #expect(file.int("i32") == -5)
    #expect(file.int("u64") == 1 << 40)
    #expect(file.int("huge") == nil)
    #expect(file.double("huge") == 0x1p64)
    #expect(file.double("f32") == 0.5)
    #expect(file.double("f64") == -1e300)
    #expect(file.bool("yes") == true)
    #expect(file.string("text") == "naïve 🙂")
    #expect(file.strings("texts") == ["", "a", "Ġthe"])
    #expect(file.ints("ints") == [-1, 0, 7])
    #expect(file.floats("floats") == [1.5, -2])
    #expect(file.ints("none") == [])
    #expect(file.int("missing") == nil)
    #expect(file.string("u8") == nil)
    #expect(file.tensors.isEmpty)
  }

  @Test("reads back tensors, at any alignment", arguments: [8, 32, 4096])
  func tensors(alignment: Int) throws {
    var writer = GGUFWriter()
    writer.alignment = alignment
    let values = (0..<96).map { Float($0) - 48 }
    writer.add("matrix", .f32, dimensions: [32, 3], values: values)
    writer.add("codes", .q8_0, dimensions: [32], values: Array(values[0..<32]))
    writer.add("scalar", .f16, dimensions: [1], values: [0.25])
    let file = try open(writer)
    #expect(file.tensors.map(\.name) == ["matrix", "codes", "scalar"])
    let matrix = try #require(file.tensor("matrix"))
    #expect(matrix.dimensions == [32, 3])
    #expect(matrix.type == .f32)
    #expect(matrix.floats() == values)
    let codes = try #require(file.tensor("codes"))
    #expect(codes.bytes.count == 34)
    expectClose(codes.floats(), values[0..<32], tolerance: 48 / 127 / 2 + 0.02)
    #expect(file.tensor("scalar")?.floats() == [0.25])
    #expect(file.tensor("other") == nil)
  }

  @Test("the fingerprint sees a change of metadata, of a tensor's start and of its middle")
  func fingerprint() throws {
    func print(name: String, changing index: Int?) throws -> String {
      var writer = GGUFWriter()
      writer.set("general.name", .string(name))
      var values = [Float](repeating: 1, count: 4096)
      if let index { values[index] = 2 }
      writer.add("w", .f32, dimensions: [4096], values: values)
      return try open(writer).fingerprint
    }
    let plain = try print(name: "a", changing: nil)
    let again = try print(name: "a", changing: nil)
    #expect(again == plain)
    #expect(plain.hasPrefix("sha256:") && plain.count == 7 + 64)
    let others = [
      try print(name: "b", changing: nil), try print(name: "a", changing: 3),
      try print(name: "a", changing: 2050),
    ]
    #expect(Set(others + [plain]).count == 4)
  }

  @Test("reads the tiny model in every format", arguments: Quantizer.types)
  func tinyModel(type: TensorType) throws {
    try withTemporaryDirectory { folder in
      let path = try TinyModel(weightType: type).write(in: folder)
      let file = try GGUFFile(path: path)
      #expect(file.string("general.architecture") == "llama")
      #expect(file.tensors.count == 20)
      #expect(file.strings("tokenizer.ggml.tokens")?.count == TinyModel.vocabularySize)
      #expect(Set(file.strings("tokenizer.ggml.tokens") ?? []).count == TinyModel.vocabularySize)
      #expect(file.tensor("blk.1.attn_k.weight")?.type == type)
      for tensor in file.tensors { #expect(tensor.floats().allSatisfy { $0.isFinite }) }
    }
  }

  @Test("reads the real model's header and tensors", .requiresRealModel)
  func realModel() throws {
    let file = try GGUFFile(path: try RealModel.required())
    #expect(file.tensors.count == 272)
    #expect(file.int("llama.block_count") == 30)
    #expect(file.strings("tokenizer.ggml.tokens")?.count == 49152)
    #expect(file.tensor("token_embd.weight")?.type == .q8_0)
    let query = try #require(file.tensor("blk.0.attn_q.weight"))
    #expect(query.type == .q4_1 && query.dimensions == [576, 576])
    #expect(query.floats().allSatisfy { $0.isFinite && abs($0) < 10 })
  }

  private func open(_ writer: GGUFWriter) throws -> GGUFFile {
    try withTemporaryDirectory { folder in
      try writer.write(to: folder + "/test.gguf")
      // The mapping outlives the name.
      return try GGUFFile(path: folder + "/test.gguf")
    }
  }
}
