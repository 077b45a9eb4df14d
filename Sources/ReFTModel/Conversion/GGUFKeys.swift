// SPDX-License-Identifier: Apache-2.0
// The keys of a GGUF file that say what a folder's model computes.

import Foundation
import ReFTTensor

/// Writes down the sizes and constants of a folder's model.
struct GGUFKeys {
  let source: any TensorSource
  let reader: ModelReader
  let sizes: ModelConfiguration
  private let family: String

  init(_ source: any TensorSource, _ names: FileNames, _ sizes: ModelConfiguration) {
    (self.source, self.sizes) = (source, sizes)
    reader = ModelReader(source, names)
    family = sizes.architecture
  }

  /// The keys of the model, without those of its words.
  ///
  /// - Throws: `badData` for a constant that the format has no key for.
  func values() throws(ReFTError) -> [(key: String, value: GGUFOutputValue)] {
    var values: [(key: String, value: GGUFOutputValue)] = [
      ("general.architecture", .string(family)), ("general.type", .string("model")),
      ("general.name", .string(sizes.name)),
    ]
    func add(_ key: String, _ value: GGUFOutputValue) { values.append(("\(family).\(key)", value)) }
    func add(_ key: String, _ number: Int) { add(key, .uint32(UInt32(clamping: number))) }
    add("vocab_size", sizes.vocabularySize)
    add("context_length", sizes.contextLength)
    add("embedding_length", sizes.hiddenSize)
    add("block_count", sizes.layers)
    add("feed_forward_length", sizes.feedForwardSize)
    add("attention.head_count", sizes.heads)
    add("attention.head_count_kv", sizes.keyValueHeads)
    add("attention.key_length", sizes.headSize)
    add("attention.value_length", sizes.headSize)
    add("rope.dimension_count", sizes.headSize)
    let epsilon = try reader.number("attention.layer_norm_rms_epsilon", allowsZero: true)
    add("attention.layer_norm_rms_epsilon", .float32(Float(epsilon)))
    let base = family == "gemma3" ? 1_000_000 : 10_000.0
    add("rope.freq_base", .float32(Float(try reader.number("rope.freq_base", default: base))))
    let scaling = try reader.text("rope.scaling.type") ?? "linear"
    let factor = try reader.number("rope.scaling.factor", default: 1)
    if scaling == "linear", factor != 1 {
      add("rope.scaling.type", .string("linear"))
      add("rope.scaling.factor", .float32(Float(factor)))
    }
    if family == "gemma3" { try addWindows(add) }
    return values
  }

  /// Gemma 3's windows, and the rotation behind them.
  private func addWindows(
    _ add: (String, GGUFOutputValue) -> Void
  ) throws(ReFTError) {
    let window = try reader.size("attention.sliding_window", in: 1...(1 << 26))
    add("attention.sliding_window", .uint32(UInt32(window)))
    let near = try reader.number("rope.freq_base_swa", default: 10_000)
    if near != 10_000 { add("rope.freq_base_swa", .float32(Float(near))) }
    let isLargest = sizes.layers == 62
    let usual = Double(isLargest ? sizes.hiddenSize / sizes.heads : sizes.headSize)
    guard try reader.number("query_scalar", default: usual) == usual else {
      throw .scaleNotWritten(source.path)
    }
    var pattern = try reader.size("attention.sliding_window_pattern", in: 1...1024, default: 6)
    if let types = try reader.texts("layer_types") {
      let whole = types.firstIndex { $0 != "sliding_attention" }
      pattern = (whole ?? types.count) + 1
      for (index, type) in types.enumerated() {
        guard (type == "sliding_attention") == ((index + 1) % pattern != 0) else {
          throw .unusedKey("layer_types", "'\(type)' for block \(index)", source.path)
        }
      }
    }
    if pattern != 6 { add("attention.sliding_window_pattern", .uint32(UInt32(pattern))) }
  }

  /// Llama 3's scaling of the rotation, as a divisor for each pair; nil where there is none.
  ///
  /// - Throws: `badData` for numbers that are missing.
  func rotationFactors() throws(ReFTError) -> [Float]? {
    guard try reader.text("rope.scaling.type") == "llama3" else { return nil }
    let factor = try reader.number("rope.scaling.factor")
    let low = try reader.number("rope.scaling.low")
    let high = try reader.number("rope.scaling.high")
    let original = try reader.number("rope.scaling.original")
    let base = try reader.number("rope.freq_base", default: 10_000)
    return (0..<sizes.headSize / 2).map { pair in
      let frequency = pow(base, -2 * Double(pair) / Double(sizes.headSize))
      let turns = original * frequency / (2 * Double.pi)
      if turns > high { return 1 }
      if turns < low { return Float(factor) }
      let share = (turns - low) / (high - low)
      return Float(1 / ((1 - share) / factor + share))
    }
  }
}
