// SPDX-License-Identifier: Apache-2.0
// Sound safetensors files: what was written comes back, and the bytes depend on nothing else.

import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

struct SafetensorsTests {
  static let tensors = [
    NamedTensor(
      name: "layers.2.weight",
      shape: [2, 3],
      values: [1, -0.0, .pi, .infinity, .leastNonzeroMagnitude, 7]
    ),
    NamedTensor(name: "empty", shape: [0, 4], values: []),
    NamedTensor(name: "a scalar", shape: [], values: [42]),
    NamedTensor(name: "strange \"name\"\\ \n\u{1} ünïcode 🙂", shape: [1], values: [-1]),
  ]

  @Test("what is written comes back, with names, shapes, bits and metadata")
  func roundTrip() throws {
    let metadata = ["format": "pt", "note": "a \"quoted\"\tline\nand ünïcode 🙂"]
    try withTemporaryDirectory { folder in
      let path = folder + "/file.safetensors"
      try Safetensors.write(Self.tensors, metadata: metadata, to: path)
      let file = try Safetensors.read(path: path)
      #expect(file.metadata == metadata)
      #expect(Set(file.names) == Set(Self.tensors.map(\.name)))
      for tensor in Self.tensors {
        let found = try #require(file.tensor(tensor.name))
        #expect(found.type == .f32)
        #expect(found.shape == tensor.shape)
        expectIdentical(try file.floats(tensor.name), tensor.values)
      }
    }
  }

  @Test("NaN keeps its bits")
  func nan() throws {
    let values = [Float(bitPattern: 0x7fc0_1234), Float(bitPattern: 0xffc0_0001)]
    try withTemporaryDirectory { folder in
      let path = folder + "/nan.safetensors"
      try Safetensors.write(
        [NamedTensor(name: "x", shape: [2], values: values)],
        metadata: [:],
        to: path
      )
      expectIdentical(try Safetensors.read(path: path).floats("x"), values)
    }
  }

  @Test("the bytes depend on the content alone, not on the order")
  func deterministic() throws {
    let metadata = Dictionary(uniqueKeysWithValues: (0..<50).map { ("key\($0)", "\($0)") })
    let reversed = Dictionary(uniqueKeysWithValues: metadata.sorted { $0.key > $1.key })
    try withTemporaryDirectory { folder in
      try Safetensors.write(Self.tensors, metadata: metadata, to: folder + "/a")
      try Safetensors.write(Self.tensors.reversed(), metadata: reversed, to: folder + "/b")
      let first = try Data(contentsOf: URL(fileURLWithPath: folder + "/a"))
      let second = try Data(contentsOf: URL(fileURLWithPath: folder + "/b"))
      #expect(first == second)
    }
  }

  @Test("the layout is pinned: sorted names, data at a multiple of eight")
  func layout() throws {
    let tensors = [
      NamedTensor(name: "b", shape: [1], values: [1]),
      NamedTensor(name: "a", shape: [2, 1], values: [2, 3]),
    ]
    try withTemporaryDirectory { folder in
      try Safetensors.write(tensors, metadata: ["z": "1", "k": "2"], to: folder + "/a")
      let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder + "/a")))
      var header = #"{"__metadata__":{"k":"2","z":"1"},"#
      header += #""a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"#
      header += #""b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#
      var expected: [UInt8] = []
      var text = Array(header.utf8)
      while text.count % 8 != 0 { text.append(0x20) }
      expected.append(counted: text)
      for value in [Float(2), 3, 1] { expected.append(integer: value.bitPattern) }
      #expect(bytes == expected)
    }
  }

  @Test("half, bfloat16 and double precision are read as float32; integers only as bytes")
  func otherTypes() throws {
    let values: [Float] = [1.5, -2, 0.099975586]
    var data: [UInt8] = []
    for value in values { data.append(integer: Float16(value).bitPattern) }
    for value in values { data.append(integer: UInt16(value.bitPattern >> 16)) }
    for value in values { data.append(integer: Double(value).bitPattern) }
    data += [7, 8]
    let header = """
      {"h":{"dtype":"F16","shape":[3],"data_offsets":[0,6]},
       "b":{"dtype":"BF16","shape":[3],"data_offsets":[6,12]},
       "d":{"dtype":"F64","shape":[3],"data_offsets":[12,36]},
       "\\u0069\\ud83d\\ude42":{"dtype":"U8","shape":[2],"data_offsets":[36,38]}}
      """
    var bytes: [UInt8] = []
    bytes.append(counted: Array(header.utf8))
    try withTemporaryDirectory { folder in
      let path = folder + "/types"
      try Data(bytes + data).write(to: URL(fileURLWithPath: path))
      let file = try Safetensors.read(path: path)
      #expect(try file.floats("h") == values)
      expectClose(try file.floats("b"), values, tolerance: 0, relative: 0x1p-7)
      #expect(try file.floats("d") == values)
      #expect(Array(try file.bytes("i🙂")) == [7, 8])
      let error = #expect(throws: ReFTError.self) { try file.floats("i🙂") }
      #expect(error?.message.contains("tensor 'i🙂' has the type U8") == true)
      let missing = #expect(throws: ReFTError.self) { try file.floats("x") }
      #expect(missing?.message.contains("has no tensor 'x'. It holds 4: 'h', 'b', 'd'") == true)
    }
  }

  struct Unfit: Sendable {
    let tensors: [NamedTensor]
    let says: String
  }

  static let unfit = [
    Unfit(
      tensors: [NamedTensor(name: "x", shape: [2], values: [1])],
      says: "tensor 'x' has 1 values and the shape [2]"
    ),
    Unfit(
      tensors: [NamedTensor(name: "x", shape: [-1, -1], values: [1])],
      says: "tensor 'x' has 1 values and the shape [-1, -1]"
    ),
    Unfit(
      tensors: [NamedTensor(name: "x", shape: [.max, 2], values: [])],
      says: "tensor 'x' has 0 values and the shape [9223372036854775807, 2]"
    ),
    Unfit(
      tensors: [
        NamedTensor(name: "x", shape: [1], values: [1]),
        NamedTensor(name: "x", shape: [1], values: [2]),
      ],
      says: "the tensor name 'x' is taken"
    ),
    Unfit(
      tensors: [NamedTensor(name: "__metadata__", shape: [1], values: [1])],
      says: "the tensor name '__metadata__' is taken"
    ),
  ]

  @Test("refuses to write what cannot be read, and leaves the old file as it was", arguments: unfit)
  func refusesToWrite(unfit: Unfit) throws {
    try withTemporaryDirectory { folder in
      let path = folder + "/old"
      try Data("old".utf8).write(to: URL(fileURLWithPath: path))
      let error = #expect(throws: ReFTError.self) {
        try Safetensors.write(unfit.tensors, metadata: [:], to: path)
      }
      #expect(error?.code == .usage)
      #expect(error?.message.contains(unfit.says) == true)
      #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data("old".utf8))
    }
  }
}
