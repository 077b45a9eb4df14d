// SPDX-License-Identifier: Apache-2.0
// Writes the tensors of a tiny Hugging Face folder as a GGUF file, as converters do: for tests that
// compare both formats. It has no tokenizer.

import Foundation
public import ReFTTensor

/// Converts llama and gemma3 folders.
public struct GGUFConverter {
  private let source: any TensorSource

  /// Converts a folder.
  public init(_ source: any TensorSource) { self.source = source }

  private var family: String { text("model_type") == "gemma3_text" ? "gemma3" : "llama" }

  private func text(_ key: String) -> String {
    if case .string(let value) = source.metadata[key] { value } else { "" }
  }

  private func number(_ key: String) -> Double {
    switch source.metadata[key] {
    case .int(let value): Double(value)
    case .double(let value): value
    default: 0
    }
  }

  /// The file, before it is laid out.
  public func writer() -> GGUFWriter {
    var file = GGUFWriter()
    file.set("general.architecture", .string(family))
    let sizes = [
      "block_count": "num_hidden_layers", "context_length": "max_position_embeddings",
      "embedding_length": "hidden_size", "feed_forward_length": "intermediate_size",
      "attention.head_count": "num_attention_heads",
      "attention.head_count_kv": "num_key_value_heads", "attention.key_length": "head_dim",
      "attention.value_length": "head_dim",
    ]
    for (key, name) in sizes.sorted(by: { $0.key < $1.key }) {
      file.set("\(family).\(key)", .uint32(UInt32(number(name))))
    }
    file.set(
      "\(family).attention.layer_norm_rms_epsilon",
      .float32(Float(number("rms_norm_eps")))
    )
    file.set("\(family).rope.freq_base", .float32(Float(number("rope_theta"))))
    if family == "gemma3" {
      file.set("gemma3.attention.sliding_window", .uint32(UInt32(number("sliding_window"))))
      // The tiny model's middle block is the one without a window.
      file.set("gemma3.attention.sliding_window_pattern", .uint32(2))
    }
    for tensor in source.tensors { add(tensor, to: &file) }
    if text("rope_scaling.rope_type") == "llama3" { addFactors(to: &file) }
    return file
  }

  private func add(_ tensor: StoredTensor, to file: inout GGUFWriter) {
    var values = tensor.floats()
    let name = Self.name(tensor.name, family)
    if family == "llama", name.contains("attn_q.") || name.contains("attn_k.") {
      values = interleaved(values, columns: tensor.shape.count == 2 ? tensor.shape[1] : 1)
    }
    if family == "gemma3", name.hasSuffix("norm.weight") { values = values.map { $0 + 1 } }
    file.add(name, .f32, dimensions: tensor.shape.reversed(), values: values)
  }

  /// Rows (half, pair) of each head become rows (pair, half).
  private func interleaved(_ values: [Float], columns: Int) -> [Float] {
    let size = Int(number("head_dim"))
    var out = values
    for row in 0..<values.count / columns {
      let (head, place) = (row / size, row % size)
      let target = head * size + place % (size / 2) * 2 + place / (size / 2)
      for column in 0..<columns {
        out[target * columns + column] = values[row * columns + column]
      }
    }
    return out
  }

  /// Llama 3's scaling as one factor for each pair.
  private func addFactors(to file: inout GGUFWriter) {
    let size = Int(number("head_dim"))
    let factor = number("rope_scaling.factor")
    let original = number("rope_scaling.original_max_position_embeddings")
    let (low, high) = (
      number("rope_scaling.low_freq_factor"), number("rope_scaling.high_freq_factor")
    )
    let factors = (0..<size / 2).map { pair -> Float in
      let frequency = pow(number("rope_theta"), -2 * Double(pair) / Double(size))
      let wavelength = 2 * Double.pi / frequency
      if wavelength < original / high { return 1 }
      if wavelength > original / low { return Float(factor) }
      let smooth = (original / wavelength - low) / (high - low)
      return Float(1 / ((1 - smooth) / factor + smooth))
    }
    file.add("rope_freqs.weight", .f32, dimensions: [size / 2], values: factors)
  }

  private static func name(_ name: String, _ family: String) -> String {
    var words = name.split(separator: ".").map(String.init)
    let kind = words.removeLast()
    if words.first == "model" { words.removeFirst() }
    guard words.first == "layers" else {
      let names = ["embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"]
      return (names[words[0]] ?? words[0]) + "." + kind
    }
    let part = words.dropFirst(2).joined(separator: ".")
    let isGemma = family == "gemma3"
    let names = [
      "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
      "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
      "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
      "post_attention_layernorm": isGemma ? "post_attention_norm" : "ffn_norm",
      "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm",
      "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    ]
    return "blk.\(words[1]).\(names[part] ?? part).\(kind)"
  }
}
