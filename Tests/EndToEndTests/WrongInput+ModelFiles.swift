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
      message:
        "no model 'no-such-model' as a path or in $T/home/models; there are none yet, and 'reft model pull smollm2-135m-instruct' fetches a small one",
      call: ["model", "info", "no-such-model"]
    ),
    model(
      "missing file",
      "model file '$T/m.gguf' does not exist; there are none yet, and 'reft model pull smollm2-135m-instruct' fetches a small one",
      status: 66
    ) { _ in },
    model(
      "folder in place of a file",
      "model '$T/m.gguf' is a folder without config.json, expected a Hugging Face folder or a .gguf file; name one of these",
      status: 64
    ) { bench in
      try bench.write("", to: "m.gguf/readme")
    },
    model(
      "empty file",
      "GGUF file '$T/m.gguf': starts with the bytes [], not with 'GGUF'. Give a model in GGUF format."
    ) { try $0.write("", to: "m.gguf") },
    model(
      "another format",
      "GGUF file '$T/m.gguf': starts with the bytes [50 4b 3 4], not with 'GGUF'. Give a model in GGUF format."
    ) { try $0.write("PK\u{3}\u{4} not a model at all", to: "m.gguf") },
    model(
      "version from the future",
      "GGUF file '$T/m.gguf': has version 99, not 2 or 3. Convert the model again to little-endian GGUF version 3."
    ) { bench in
      var file = TinyModel().writer()
      file.version = 99
      try bench.write(file.bytes(), to: "m.gguf")
    },
    model(
      "cut off in the header",
      "GGUF file '$T/m.gguf': the number of tensors at byte 8 is 20, more than the 4 bytes left can hold. The file is damaged or incomplete; fetch or write it again."
    ) { bench in
      try bench.write(Array(TinyModel().writer().bytes().prefix(20)), to: "m.gguf")
    },
    model(
      "cut off in the weights",
      "GGUF file '$T/m.gguf': tensor 'output_norm.weight' needs 256 bytes from offset 421888 of the data, and the file has 156 there. The file is damaged or incomplete; fetch or write it again."
    ) { bench in
      try bench.write(Array(TinyModel().writer().bytes().dropLast(100)), to: "m.gguf")
    },
    spoiled(
      "claims 2^60 tensors",
      "GGUF file '$T/m.gguf': the number of tensors at byte 8 is 1152921504606846976, more than the 429296 bytes left can hold. The file is damaged or incomplete; fetch or write it again."
    ) { $0.claimedTensorCount = 1 << 60 },
    spoiled(
      "claims 2^60 metadata values",
      "GGUF file '$T/m.gguf': the number of metadata values at byte 16 is 1152921504606846976, more than the 429288 bytes left can hold. The file is damaged or incomplete; fetch or write it again."
    ) { $0.claimedValueCount = 1 << 60 },
    spoiled(
      "text of 2^62 bytes",
      "GGUF file '$T/m.gguf': the length of the text of 'evil' at byte 6011 is 4611686018427387904, more than the 423325 bytes left can hold. The file is damaged or incomplete; fetch or write it again."
    ) {
      $0.set("evil", .raw(type: 8, bytes: [0, 0, 0, 0, 0, 0, 0, 0x40]))
    },
    spoiled(
      "array of 2^61 numbers",
      "GGUF file '$T/m.gguf': the length of the list 'evil' at byte 6015 is 2305843009213693952, more than the 423321 bytes left can hold. The file is damaged or incomplete; fetch or write it again."
    ) {
      $0.set(
        "evil",
        .raw(type: 9, bytes: [5, 0, 0, 0] + [0, 0, 0, 0, 0, 0, 0, 0x20])
      )
    },
    spoiled(
      "key that is no UTF-8",
      "GGUF file '$T/m.gguf': metadata key 27 at byte 6003 is not UTF-8 text. The file is damaged or incomplete; fetch or write it again."
    ) { $0.set([0xff, 0xfe], .uint32(1)) },
    spoiled(
      "metadata of an unknown type",
      "GGUF file '$T/m.gguf': the type of 'odd' at byte 6006 is 77, not 0 to 12. The file is damaged or incomplete; fetch or write it again."
    ) { $0.set("odd", .raw(type: 77, bytes: [])) },
    spoiled(
      "dimensions whose product overflows",
      "GGUF file '$T/m.gguf': tensor 'evil' has more elements than the file has bits. The file is damaged or incomplete; fetch or write it again."
    ) {
      $0.add("evil", type: 0, dimensions: [1 << 40, 1 << 40], data: [])
    },
    spoiled(
      "dimension of zero",
      "GGUF file '$T/m.gguf': tensor 'evil' has a dimension of size 0. The file is damaged or incomplete; fetch or write it again."
    ) {
      $0.add("evil", type: 0, dimensions: [0], data: [])
    },
    spoiled(
      "tensor of an unknown type",
      "GGUF file '$T/m.gguf': tensor 'evil' has the number format 99. This reader knows F32 (0), F16 (1), Q4_0 (2), Q4_1 (3), Q5_0 (6), Q5_1 (7), Q8_0 (8), Q2_K (10), Q3_K (11), Q4_K (12), Q5_K (13), Q6_K (14), IQ4_NL (20), IQ4_XS (23), BF16 (30); convert the model to one of them."
    ) {
      $0.add("evil", type: 99, dimensions: [32], data: [])
    },
    spoiled(
      "tensor beyond the end of the file",
      "GGUF file '$T/m.gguf': tensor 'evil' starts at offset 1125899906842624 of the data, beyond the end of the file. The file is damaged or incomplete; fetch or write it again."
    ) {
      $0.add("evil", type: 0, dimensions: [8], data: [], offset: 1 << 50)
    },
    spoiled(
      "tensor between alignment marks",
      "GGUF file '$T/m.gguf': tensor 'evil' starts at offset 4, not a multiple of the alignment 32. The file is damaged or incomplete; fetch or write it again."
    ) {
      $0.add("evil", type: 0, dimensions: [1], data: [0, 0, 0, 0], offset: 4)
    },
    spoiled(
      "two tensors of one name",
      "GGUF file '$T/m.gguf': two tensors are named 'output_norm.weight'. The file is damaged or incomplete; fetch or write it again."
    ) {
      $0.add("output_norm.weight", .f32, dimensions: [1], values: [1])
    },
    spoiled(
      "alignment that is no power of two",
      "GGUF file '$T/m.gguf': 'general.alignment' is int(48), not a power of two from 8 to 1048576. The file is damaged or incomplete; fetch or write it again."
    ) { $0.alignment = 48 },
    model(
      "architecture that is not supported",
      "Model '$T/m.gguf' has architecture 'rwkv'; this version runs 'bert', 'gemma', 'gemma2', 'gemma3', "
        + "'gpt2', 'gptneox', 'llama', 'olmo2', 'phi3', 'qwen2', 'qwen3'. Convert or choose another model."
    ) { bench in
      var file = GGUFWriter()
      file.set("general.architecture", .string("rwkv"))
      try bench.write(file.bytes(), to: "m.gguf")
    },
  ]
}
