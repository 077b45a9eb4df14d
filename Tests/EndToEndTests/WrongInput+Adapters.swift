// SPDX-License-Identifier: Apache-2.0
// Adapter folders and safetensors files that are missing, broken, hostile or for another model.

import Foundation
import ReFTTensor
import _ReFTTestSupport

extension WrongInput {
  private static func scored(
    _ id: String,
    _ message: String,
    status: Int32 = 65,
    _ prepare: @escaping @Sendable (Workbench) throws -> Void
  ) -> WrongInput {
    WrongInput(
      id: "adapter: " + id,
      status: status,
      message: message,
      call: [
        "score", "--model", "$T/tiny.gguf", "--adapter", "$T/adapter", "--data", "$T/rows.jsonl",
      ],
      prepare: { bench in
        try bench.writeRun()
        try prepare(bench)
      }
    )
  }

  private static func config(
    _ id: String,
    _ message: String,
    status: Int32 = 65,
    _ old: String,
    _ new: String
  ) -> WrongInput {
    scored(id, message, status: status) { bench in
      try bench.writeAdapter(config: Workbench.adapterConfig.replacing(old, with: new))
    }
  }

  /// The tensor file replaced by raw bytes: a header length, a header, data.
  private static func weights(
    _ id: String,
    _ message: String,
    length: UInt64? = nil,
    header: String,
    data: Int = 0
  ) -> WrongInput {
    scored(id, message) { bench in
      try bench.writeAdapter()
      let count = length ?? UInt64(header.utf8.count)
      let start = withUnsafeBytes(of: count.littleEndian) { Array($0) }
      try bench.write(
        start + Array(header.utf8) + [UInt8](repeating: 0, count: data),
        to: "adapter/adapter_model.safetensors"
      )
    }
  }

  static let adapters: [WrongInput] = [
    scored("no such folder", "?", status: 66) { _ in },
    scored("no configuration in the folder", "?", status: 66) { bench in
      try bench.write("", to: "adapter/notes.txt")
    },
    scored("no tensor file in the folder", "?", status: 66) { bench in
      try bench.write(Workbench.adapterConfig, to: "adapter/adapter_config.json")
    },
    scored("configuration that is no JSON", "?") { try $0.writeAdapter(config: "{\"format\": ") },
    config("format of another program", "?", "reft-adapter", "lora"),
    config("format version from the future", "?", "\"format_version\": 1", "\"format_version\": 9"),
    config(
      "model of another width",
      "?",
      status: 64,
      "\"hidden_size\": 64",
      "\"hidden_size\": 576"
    ),
    config("model of another depth", "?", status: 64, "\"layers\": 2}", "\"layers\": 30}"),
    config("layer that the model lacks", "?", status: 78, "\"layers\": [0]", "\"layers\": [7]"),
    config("unknown component", "?", "block_output", "block_outputs"),
    config("unknown key of an intervention", "?", "\"share_weights\"", "\"share_weight\""),
    config("positions that are no rule", "?", status: 78, "f1+l1", "f1+x9"),
    config("plugin that is not there", "?", status: 69, "\"loreft\"", "\"lorefft\""),
    scored("tensor that is missing", "?") { bench in
      try bench.writeAdapter(tensors: Array(Workbench.adapterTensors.dropLast()))
    },
    scored("tensor of another shape", "?") { bench in
      var tensors = Workbench.adapterTensors
      tensors[2].shape = [1, 2]
      try bench.writeAdapter(tensors: tensors)
    },
    scored("tensor file cut off", "?") { bench in
      try bench.writeAdapter()
      let name = "adapter/adapter_model.safetensors"
      try bench.write(Array(try bench.read(name).dropLast(40)), to: name)
    },
    weights("header of 2^63 bytes", "?", length: 1 << 63, header: "{}"),
    weights("header that is no JSON", "?", header: "not json"),
    weights(
      "tensor beyond the end",
      "?",
      header: "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
      data: 8
    ),
    weights(
      "shape whose product overflows",
      "?",
      header:
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}",
      data: 8
    ),
  ]
}
