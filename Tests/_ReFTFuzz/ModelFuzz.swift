// SPDX-License-Identifier: Apache-2.0
// Model files: GGUF with everything that a model of one block has.

import Foundation
import ReFTModel
import ReFTTensor
import ReFTText

/// Makes GGUF files, and opens them with their plan, weights and words.
public struct GGUFFuzz: FuzzReader {
  /// The name on the command line.
  public static let name = "gguf"

  private let file = FuzzFolder()

  /// Makes a reader.
  public init() {}

  /// Makes one file.
  public func makeInput(_ random: inout FuzzRandom) -> [UInt8] {
    var bytes = SmallGGUF(&random).bytes
    switch random.below(3) {
    case 0:
      let start = random.below(min(bytes.count, 12_000))
      let part = Array(bytes[start..<min(bytes.count, start + 256)])
      bytes.replaceSubrange(
        start..<(start + part.count),
        with: FuzzMutation.mutate(part, &random)
      )
    case 1: bytes.removeLast(random.below(bytes.count))
    default: break
    }
    return bytes
  }

  /// Opens the file as every command does.
  public func read(_ input: [UInt8]) throws {
    let gguf = try GGUFFile(path: try file.write(input, to: "x.gguf"))
    _ = gguf.fingerprint
    _ = try FrozenModel(source: gguf)
    _ = try ModelText(gguf: gguf).tokenizer.encode("Hello, world")
  }
}

/// A GGUF file of one block, laid out here so that each number of it may be an odd one.
private struct SmallGGUF {
  private(set) var bytes: [UInt8] = []

  /// Lays out the file; about one number in so many is at an edge.
  init(_ random: inout FuzzRandom) {
    let rare = random.pick([20, 60, 1 << 40])
    func odd(_ value: Int, _ random: inout FuzzRandom) -> Int {
      random.once(in: rare)
        ? random.pick([0, -1, 1, 3, 1 << 16, 1 << 31, 1 << 40, .max, .min, value + 1]) : value
    }
    let alphabet = Self.alphabet
    let sizes = [
      ("block_count", 1), ("context_length", 64), ("embedding_length", 32),
      ("feed_forward_length", 32), ("attention.head_count", 2), ("attention.head_count_kv", 1),
      ("rope.dimension_count", 16), ("vocab_size", alphabet.count),
    ]
    var keys: [[UInt8]] = [
      Self.text("general.architecture") + Self.number(8, 4) + Self.text("llama"),
      Self.text("llama.attention.layer_norm_rms_epsilon") + Self.number(6, 4)
        + Self.number(Int(Float(1e-5).bitPattern), 4),
      Self.text("tokenizer.ggml.model") + Self.number(8, 4) + Self.text("gpt2"),
      Self.text("tokenizer.ggml.pre") + Self.number(8, 4)
        + Self.text(random.pick(["gpt-2", "gpt-2", "qwen2", "odd"])),
      Self.text("tokenizer.ggml.tokens") + Self.list(alphabet, odd(alphabet.count, &random)),
      Self.text("tokenizer.ggml.merges") + Self.list([], 0),
    ]
    for (name, value) in sizes {
      keys.append(
        Self.text("llama." + name) + Self.number(10, 4) + Self.number(odd(value, &random), 8)
      )
    }
    let tensors = [
      ("token_embd", [32, alphabet.count]), ("output_norm", [32]), ("blk.0.attn_norm", [32]),
      ("blk.0.ffn_norm", [32]), ("blk.0.attn_q", [32, 32]), ("blk.0.attn_k", [32, 16]),
      ("blk.0.attn_v", [32, 16]), ("blk.0.attn_output", [32, 32]), ("blk.0.ffn_gate", [32, 32]),
      ("blk.0.ffn_up", [32, 32]), ("blk.0.ffn_down", [32, 32]),
    ]
    bytes = Array("GGUF".utf8) + Self.number(3, 4)
    bytes += Self.number(odd(tensors.count, &random), 8) + Self.number(odd(keys.count, &random), 8)
    bytes += keys.joined()
    var offset = 0
    for (name, shape) in tensors {
      bytes += Self.text(name + ".weight") + Self.number(odd(shape.count, &random), 4)
      for size in shape { bytes += Self.number(odd(size, &random), 8) }
      bytes += Self.number(odd(0, &random), 4) + Self.number(odd(offset, &random), 8)
      offset += shape.reduce(4, *)
    }
    bytes += [UInt8](repeating: 0, count: (32 - bytes.count % 32) % 32)
    bytes += [UInt8](repeating: 0, count: offset)
  }

  /// The printable stand-ins of the bytes.
  private static let alphabet: [String] = {
    var next: UInt32 = 256
    return (UInt32(0)..<256).map { byte in
      let isPrintable =
        (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
      defer { if !isPrintable { next += 1 } }
      return Unicode.Scalar(isPrintable ? byte : next).map { String($0) } ?? ""
    }
  }()

  private static func number(_ value: Int, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  private static func text(_ text: String) -> [UInt8] {
    number(text.utf8.count, 8) + Array(text.utf8)
  }

  private static func list(_ texts: [String], _ count: Int) -> [UInt8] {
    number(9, 4) + number(8, 4) + number(count, 8) + texts.flatMap { text($0) }
  }
}
