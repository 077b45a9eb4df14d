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
    scored(
      "no such folder",
      "'$T/adapter' is no adapter: it is no folder with a file "
        + "adapter_config.json; name the folder that `reft train` wrote, such as "
        + "runs/NAME/adapter",
      status: 66
    ) { _ in },
    scored(
      "no configuration in the folder",
      "'$T/adapter' is no adapter: it is no folder with a file "
        + "adapter_config.json; name the folder that `reft train` wrote, such as "
        + "runs/NAME/adapter",
      status: 66
    ) { bench in
      try bench.write("", to: "adapter/notes.txt")
    },
    scored(
      "no tensor file in the folder",
      "File '$T/adapter/adapter_model.safetensors' does not exist; check the "
        + "path.",
      status: 66
    ) { bench in
      try bench.write(Workbench.adapterConfig, to: "adapter/adapter_config.json")
    },
    scored(
      "configuration that is no JSON",
      "$T/adapter/adapter_config.json:1:12: not JSON: the text ends where a value should stand; "
        + "mend the file, or restore it"
    ) { try $0.writeAdapter(config: "{\"format\": ") },
    config(
      "doubled key",
      "$T/adapter/adapter_config.json:1:28: not JSON: key \"format\" stands twice in one object, "
        + "first at 1:2; mend the file, or restore it",
      "\"format_version\": 1",
      "\"format\": \"x\", \"format_version\": 1"
    ),
    config(
      "format of another program",
      "$T/adapter/adapter_config.json:1:12: format is 'lora'; it must be "
        + "'reft-adapter'; mend the file",
      "reft-adapter",
      "lora"
    ),
    config(
      "format version from the future",
      "$T/adapter/adapter_config.json:1:46: format_version is 9; this program "
        + "reads 1; update reft",
      "\"format_version\": 1",
      "\"format_version\": 9"
    ),
    config(
      "model of another width",
      "the adapter '$T/adapter' was made for 'Tiny' with hidden_size 576; the "
        + "model 'Tiny' has 64; use it with the model that it was made for",
      status: 64,
      "\"hidden_size\": 64",
      "\"hidden_size\": 576"
    ),
    config(
      "model of another depth",
      "the adapter '$T/adapter' was made for 'Tiny' with layers 30; the model "
        + "'Tiny' has 2; use it with the model that it was made for",
      status: 64,
      "\"layers\": 2}",
      "\"layers\": 30}"
    ),
    config(
      "layer that the model lacks",
      "interventions.0.layers names layer 7; the model has 2 blocks, 0 to 1",
      status: 78,
      "\"layers\": [0]",
      "\"layers\": [7]"
    ),
    config(
      "unknown component",
      "$T/adapter/adapter_config.json:3:69: interventions.0.component is "
        + "'block_outputs'; it must be one of block_input, block_output, "
        + "attention_input, query_output, key_output, value_output, "
        + "attention_value_output, attention_output, mlp_input, mlp_activation, "
        + "mlp_output; mend the file",
      "block_output",
      "block_outputs"
    ),
    config(
      "unknown key of an intervention",
      "$T/adapter/adapter_config.json:4:43: interventions.0.share_weight is a key "
        + "that this version does not know; did you mean 'share_weights'?",
      "\"share_weights\"",
      "\"share_weight\""
    ),
    config(
      "positions that are no rule",
      "$T/adapter/adapter_config.json:4:34: interventions.0.positions: positions "
        + "'f1+x9' cannot be read: 'x9' has none of the known forms; the forms are "
        + "f7+l7, f3, l1, all, every:4, [0,5,-1], [2:10], after:\"text\", "
        + "tokens:\" the\"|262, random:3 and none, joined by +, with weights such as f3*0.5, "
        + "and with +decode at the end if wanted",
      status: 65,
      "f1+l1",
      "f1+x9"
    ),
    config(
      "plugin that is not there",
      "no plugin is named 'lorefft'; did you mean 'loreft'?; searched $B; put "
        + "its .so into one of these or name its folder with --plugin-path",
      status: 69,
      "\"loreft\"",
      "\"lorefft\""
    ),
    scored(
      "tensor that is missing",
      "'$T/adapter/adapter_model.safetensors' lacks "
        + "'interventions.0.layers.0.source.bias'; it does not belong to the "
        + "adapter_config.json beside it"
    ) { bench in
      try bench.writeAdapter(tensors: Array(Workbench.adapterTensors.dropLast()))
    },
    scored(
      "tensor of another shape",
      "'$T/adapter/adapter_model.safetensors': "
        + "'interventions.0.layers.0.source.bias' has the shape [1, 2]; its "
        + "intervention needs [2]; it does not belong to the adapter_config.json "
        + "beside it"
    ) { bench in
      var tensors = Workbench.adapterTensors
      tensors[2].shape = [1, 2]
      try bench.writeAdapter(tensors: tensors)
    },
    scored(
      "tensor file cut off",
      "Safetensors file '$T/adapter/adapter_model.safetensors': the data of "
        + "tensor 'interventions.0.layers.0.source.weight' ends at 1032, and the "
        + "file has 992 bytes of data. The file is damaged or incomplete; fetch or "
        + "write it again."
    ) { bench in
      try bench.writeAdapter()
      let name = "adapter/adapter_model.safetensors"
      try bench.write(Array(try bench.read(name).dropLast(40)), to: name)
    },
    weights(
      "header of 2^63 bytes",
      "Safetensors file '$T/adapter/adapter_model.safetensors': announces a "
        + "header of 9223372036854775808 bytes, more than the 2 possible. The file "
        + "is damaged or incomplete; fetch or write it again.",
      length: 1 << 63,
      header: "{}"
    ),
    weights(
      "header that is no JSON",
      "Safetensors file '$T/adapter/adapter_model.safetensors': the header is no JSON "
        + "at byte 0: expected a JSON value, found 'n'. The file is damaged "
        + "or incomplete; fetch or write it again.",
      header: "not json"
    ),
    weights(
      "tensor beyond the end",
      "Safetensors file '$T/adapter/adapter_model.safetensors': the data of "
        + "tensor 'a' ends at 16, and the file has 8 bytes of data. The file is "
        + "damaged or incomplete; fetch or write it again.",
      header: "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
      data: 8
    ),
    weights(
      "shape whose product overflows",
      "Safetensors file '$T/adapter/adapter_model.safetensors': the size of "
        + "tensor 'a' overflows. The file is damaged or incomplete; fetch or write "
        + "it again.",
      header:
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}",
      data: 8
    ),
  ]
}
