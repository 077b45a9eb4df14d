// SPDX-License-Identifier: Apache-2.0
// Writes the tensors of a tiny Hugging Face folder as a GGUF file, as converters do: for tests that
// compare both formats. It has no tokenizer.

import Foundation
public import ReFTTensor

/// Converts folders of all families; what is special of each is in GGUFConverter+Families.
public struct GGUFConverter {
  let source: any TensorSource
  let kind: String

  /// Converts a folder.
  public init(_ source: any TensorSource) {
    self.source = source
    if case .string(let value) = source.metadata["model_type"] { kind = value } else { kind = "" }
  }

  /// The first of some keys that the folder has.
  func number(_ keys: String...) -> Double? {
    for key in keys {
      switch source.metadata[key] {
      case .int(let value): return Double(value)
      case .double(let value): return value
      default: continue
      }
    }
    return nil
  }

  var heads: Int { Int(number("num_attention_heads", "n_head", "n_heads") ?? 1) }
  var width: Int { Int(number("hidden_size", "n_embd", "dim") ?? 0) }
  var headSize: Int { number("head_dim").map { Int($0) } ?? width / heads }

  /// The file, before it is laid out.
  public func writer() -> GGUFWriter {
    var file = GGUFWriter()
    file.set("general.architecture", .string(family))
    for (key, value) in sizes.sorted(by: { $0.key < $1.key }) {
      guard let value else { continue }
      file.set("\(family).\(key)", .uint32(UInt32(value)))
    }
    for (key, value) in numbers.sorted(by: { $0.key < $1.key }) {
      guard let value else { continue }
      file.set("\(family).\(key)", .float32(Float(value)))
    }
    for (key, value) in flags.sorted(by: { $0.key < $1.key }) {
      file.set("\(family).\(key)", .bool(value))
    }
    for tensor in source.tensors { add(tensor, to: &file) }
    if case .string("llama3") = source.metadata["rope_scaling.rope_type"] {
      addFactors(to: &file)
    }
    return file
  }

  private var sizes: [String: Double?] {
    let width = Double(width)
    var sizes: [String: Double?] = [
      "block_count": number("num_hidden_layers", "n_layer", "n_layers"),
      "context_length": number("max_position_embeddings", "n_positions").map {
        $0 - Double(firstPosition)
      },
      "embedding_length": width,
      "feed_forward_length": number("intermediate_size", "n_inner", "hidden_dim") ?? 4 * width,
      "attention.head_count": Double(heads),
      "attention.head_count_kv": number("num_key_value_heads"),
      "attention.key_length": number("head_dim"), "attention.value_length": number("head_dim"),
    ]
    if let share = number("rotary_pct") {
      sizes["rope.dimension_count"] = Double(headSize) * share
    }
    if ["mistral", "gemma2", "gemma3_text"].contains(kind) {
      sizes["attention.sliding_window"] = number("sliding_window")
    }
    // The tiny model's middle block is the one without a window.
    if kind == "gemma3_text" { sizes["attention.sliding_window_pattern"] = 2 }
    return sizes
  }

  private var numbers: [String: Double?] {
    let isDistilBERT = kind == "distilbert"
    return [
      "attention.layer_norm_rms_epsilon": number("rms_norm_eps"),
      "attention.layer_norm_epsilon": isDistilBERT
        ? 1e-12 : number("layer_norm_eps", "layer_norm_epsilon"),
      "rope.freq_base": number("rope_theta"),
      "attn_logit_softcapping": number("attn_logit_softcapping"),
      "final_logit_softcapping": number("final_logit_softcapping"),
    ]
  }

  private var flags: [String: Bool] {
    var flags: [String: Bool] = [:]
    if family == "bert" { flags["attention.causal"] = false }
    if case .bool(let flag) = source.metadata["use_parallel_residual"] {
      flags["use_parallel_residual"] = flag
    }
    return flags
  }

  private func add(_ tensor: StoredTensor, to file: inout GGUFWriter) {
    guard let name = name(tensor.name) else { return }
    let (shape, values) = converted(tensor, name)
    file.add(name, .f32, dimensions: shape.reversed(), values: values)
  }

  /// Llama 3's scaling as one factor for each pair.
  private func addFactors(to file: inout GGUFWriter) {
    func scaling(_ key: String) -> Double { number("rope_scaling." + key) ?? 1 }
    let (factor, original) = (scaling("factor"), scaling("original_max_position_embeddings"))
    let (low, high) = (scaling("low_freq_factor"), scaling("high_freq_factor"))
    let factors = (0..<headSize / 2).map { pair -> Float in
      let frequency = pow(number("rope_theta") ?? 1, -2 * Double(pair) / Double(headSize))
      let wavelength = 2 * Double.pi / frequency
      if wavelength < original / high { return 1 }
      if wavelength > original / low { return Float(factor) }
      let smooth = (original / wavelength - low) / (high - low)
      return Float(1 / ((1 - smooth) / factor + smooth))
    }
    file.add("rope_freqs.weight", .f32, dimensions: [headSize / 2], values: factors)
  }
}
