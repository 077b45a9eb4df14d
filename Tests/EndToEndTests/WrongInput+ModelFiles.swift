// SPDX-License-Identifier: Apache-2.0
// Model files that are missing, truncated, garbage or hostile.

import ReFTTensor
import _ReFTTestSupport

extension WrongInput {
  private static func model(
    _ id: String,
    _ message: String,
    status: Int32 = 65,
    _ prepare: @escaping @Sendable (Workbench) throws -> Void
  ) -> WrongInput {
    WrongInput(
      id: "model: " + id,
      status: status,
      message: message,
      call: ["model", "info", "$T/m.gguf"],
      prepare: prepare
    )
  }

  /// A sound file with one thing changed before it is laid out.
  private static func spoiled(
    _ id: String,
    _ message: String,
    _ change: @escaping @Sendable (inout GGUFWriter) -> Void
  ) -> WrongInput {
    model(id, message) { bench in
      var file = TinyModel().writer()
      change(&file)
      try bench.write(file.bytes(), to: "m.gguf")
    }
  }

  static let modelFiles: [WrongInput] = [
    WrongInput(
      id: "model: unknown short name",
      status: 66,
      message: "?",
      call: ["model", "info", "no-such-model"]
    ),
    model("missing file", "?", status: 66) { _ in },
    model("folder in place of a file", "?", status: 64) { bench in
      try bench.write("", to: "m.gguf/readme")
    },
    model("empty file", "?") { try $0.write("", to: "m.gguf") },
    model("another format", "?") { try $0.write("PK\u{3}\u{4} not a model at all", to: "m.gguf") },
    model("version from the future", "?") { bench in
      var file = TinyModel().writer()
      file.version = 99
      try bench.write(file.bytes(), to: "m.gguf")
    },
    model("cut off in the header", "?") { bench in
      try bench.write(Array(TinyModel().writer().bytes().prefix(20)), to: "m.gguf")
    },
    model("cut off in the weights", "?") { bench in
      try bench.write(Array(TinyModel().writer().bytes().dropLast(100)), to: "m.gguf")
    },
    spoiled("claims 2^60 tensors", "?") { $0.claimedTensorCount = 1 << 60 },
    spoiled("claims 2^60 metadata values", "?") { $0.claimedValueCount = 1 << 60 },
    spoiled("text of 2^62 bytes", "?") {
      $0.set("evil", .raw(type: 8, bytes: [0, 0, 0, 0, 0, 0, 0, 0x40]))
    },
    spoiled("array of 2^61 numbers", "?") {
      $0.set(
        "evil",
        .raw(type: 9, bytes: [5, 0, 0, 0] + [0, 0, 0, 0, 0, 0, 0, 0x20])
      )
    },
    spoiled("key that is no UTF-8", "?") { $0.set([0xff, 0xfe], .uint32(1)) },
    spoiled("metadata of an unknown type", "?") { $0.set("odd", .raw(type: 77, bytes: [])) },
    spoiled("dimensions whose product overflows", "?") {
      $0.add("evil", type: 0, dimensions: [1 << 40, 1 << 40], data: [])
    },
    spoiled("dimension of zero", "?") {
      $0.add("evil", type: 0, dimensions: [0], data: [])
    },
    spoiled("tensor of an unknown type", "?") {
      $0.add("evil", type: 99, dimensions: [32], data: [])
    },
    spoiled("tensor beyond the end of the file", "?") {
      $0.add("evil", type: 0, dimensions: [8], data: [], offset: 1 << 50)
    },
    spoiled("tensor between alignment marks", "?") {
      $0.add("evil", type: 0, dimensions: [1], data: [0, 0, 0, 0], offset: 4)
    },
    spoiled("two tensors of one name", "?") {
      $0.add("output_norm.weight", .f32, dimensions: [1], values: [1])
    },
    spoiled("alignment that is no power of two", "?") { $0.alignment = 48 },
    spoiled("architecture that is not supported", "?") {
      $0.set("general.architecture", .string("rwkv"))
    },
  ]
}
