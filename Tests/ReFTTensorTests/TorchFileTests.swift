// SPDX-License-Identifier: Apache-2.0
// Files of torch.save: sound ones of PyTorch's and ours, and hostile ones, which must end in a sentence.

import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Torch files")
struct TorchFileTests {
  @Test("of PyTorch are read with their formats, sizes and strides")
  func reads() throws {
    let folder = Fixture.path("interchange/pyreft-old/")
    let file = try TorchFile(
      path: folder + "intkey_layer.0.comp.block_output.unit.pos.nunit.1#0.bin"
    )
    #expect(file.names == ["weight", "bias", "rotate_layer"])
    #expect(file.tensors.map(\.element) == [.bfloat16, .bfloat16, .float32])
    #expect(file.tensors.map(\.shape) == [[3, 64], [3], [64, 3]])
    let expected = try Safetensors.read(path: Fixture.path("interchange/expected.safetensors"))
    let prefix = "pyreft-old/interventions.0.layers.0.prefix."
    expectIdentical(try file.floats("weight"), try expected.floats(prefix + "source.weight"))
    // R is kept as d × r here, and as r × d there.
    let rotation = try file.floats("rotate_layer")
    let transposed = try expected.floats(prefix + "rotate.weight")
    for row in 0..<64 {
      for column in 0..<3 { #expect(rotation[row * 3 + column] == transposed[column * 64 + row]) }
    }
    // A base of a parametrised rotation lies in memory column by column.
    let other = try TorchFile(
      path: Fixture.path("interchange/pyreft-direft")
        + "/intkey_layer_1_comp_block_output_unit_pos_nunit_1#0.bin"
    )
    #expect(other.tensor("embed_dim")?.shape == [])
    #expect(other.tensor("embed_dim")?.element == .int64)
    #expect(other.tensor("rotate_layer.parametrizations.weight.0.base")?.shape == [64, 64])
  }

  @Test("that are written come back as they were, and the same tensors give the same bytes")
  func writes() throws {
    try withTemporaryDirectory { folder in
      var generator = SeededGenerator(seed: 3)
      let values = generator.normals(35)
      let items = [
        TorchItem("a.weight", shape: [5, 7], values), TorchItem("width", 4096),
        TorchItem("b", shape: [1], [-0.0]), TorchItem("empty", shape: [0, 3], []),
      ]
      try TorchFile.write(items, to: folder + "/x.bin")
      try TorchFile.write(items, to: folder + "/y.bin")
      let file = try TorchFile(path: folder + "/x.bin")
      #expect(file.names == ["a.weight", "width", "b", "empty"])
      #expect(file.tensors.map(\.shape) == [[5, 7], [], [1], [0, 3]])
      expectIdentical(try file.floats("a.weight"), values)
      #expect(try file.floats("b")[0].sign == .minus)
      #expect(try file.floats("empty").isEmpty)
      let bytes = try Data(contentsOf: URL(fileURLWithPath: folder + "/x.bin"))
      #expect(bytes == (try Data(contentsOf: URL(fileURLWithPath: folder + "/y.bin"))))
    }
  }

  /// A hostile file and a part of the sentence that refuses it.
  struct Case: Sendable, CustomTestStringConvertible {
    var file: String
    var says: String
    init(_ file: String, _ says: String) { (self.file, self.says) = (file, says) }
    var testDescription: String { file }
  }

  static let cases = [
    Case("system", "names 'posix.system' at byte 2, which no file of tensors needs"),
    Case("eval", "names '__builtin__.eval' at byte 2"),
    Case("newobj", "at byte 28: it has the step NEWOBJ (0x81)"),
    Case("stack-global", "it says protocol 4; torch.save writes 2"),
    Case("setstate", "at byte 23: a state is set that is no map, or of what is none"),
    Case("memo-bomb", "it does not end with one map of names and tensors"),
    Case("memo-far", "has no tensors"),
    Case("deep", "it does not end with one map"),
    Case("long-text", "a text is said to have 2147483647 bytes; 64 are left"),
    Case("long-name", "a name has no end"),
    Case("long-number", "a number has 255 bytes; at most 8 are read"),
    Case("no-stop", "in the middle of a step"),
    Case("cut", "data.pkl cannot be read at byte"),
    Case("trailing", "14 more bytes follow its end"),
    Case("not-a-tensor", "'x' is a number, not a tensor"),
    Case("twice", "'x' is there twice"),
    Case("underflow", "at byte 2: a value is taken that is not there"),
    Case("mark", "at byte 2: a group ends that never began"),
    Case("outside", "a tensor of shape [4] from element 1 leaves its storage of 4"),
    Case(
      "repeats",
      "a tensor of shape [2147483647] from element 0 leaves its storage of 4, or repeats"
    ),
    Case("negative", "a tensor is not described by storage, offset, sizes and strides"),
    Case("wrong-size", "'data/0' has 16 bytes, not 5 × 4 as 'x' needs"),
    Case("no-storage", "the numbers of 'x' are not there: no entry 'data/0'"),
    Case("integers", "tensor 'x' holds torch.LongStorage"),
    Case("deflated", "is compressed (method 8"),
    Case("cut-archive", "is no zip archive"),
    Case("checksum", "does not have the checksum that the archive states"),
    Case("overlap", "'archive/data.pkl' and 'archive/byteorder' overlap"),
    Case("two-headers", "the two headers of 'archive/data.pkx' differ"),
    Case("encrypted", "'archive/data.pkl' has the flags 0x1"),
    Case("legacy", "torch.save has written archives since 1.6"),
  ]

  @Test("that ask for more than tensors, or lie, are refused with the place", arguments: cases)
  func refuses(_ one: Case) throws {
    let path = Fixture.path("interchange/hostile/\(one.file).bin")
    let error = #expect(throws: ReFTError.self) {
      let file = try TorchFile(path: path)
      for name in file.names { _ = try file.floats(name) }
      // The pickle is sound and holds nothing: the reader of an adapter misses its tensors.
      throw ReFTError.malformed("Torch", path, "has no tensors")
    }
    #expect(error?.code == .badData)
    #expect(error?.message.contains(one.says) == true, "\(error?.message ?? "")")
  }

  @Test("that are the sound form of the hostile ones are read")
  func sound() throws {
    let file = try TorchFile(path: Fixture.path("interchange/hostile/sound.bin"))
    #expect(try file.floats("x") == [0, 0, 0, 0])
  }
}
