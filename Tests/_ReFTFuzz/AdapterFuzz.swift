// SPDX-License-Identifier: Apache-2.0
// Adapter folders: their configuration, and tensor files with their headers.

import Foundation
import ReFTHost
import ReFTTensor

/// Makes headers of safetensors files, and reads every tensor.
public struct SafetensorsFuzz: FuzzReader {
  /// The name on the command line.
  public static let name = "safetensors"

  private let file = FuzzFolder()

  /// Makes a reader.
  public init() {}

  private static let keys = [
    "dtype", "shape", "data_offsets", "__metadata__", "x", "y", "a.b", "é",
  ]

  /// Makes one file.
  public func makeInput(_ random: inout FuzzRandom) -> [UInt8] {
    var header = ""
    var offset = 0
    let entries = (0..<random.below(4)).map { index in
      let (rows, width) = (random.below(4), random.pick([("F32", 4), ("F16", 2), ("I64", 8)]))
      let end = offset + rows * width.1
      defer { offset = end }
      let last = random.once(in: 9) ? random.pick(["-1", "[]", "9223372036854775807"]) : "\(end)"
      return "\"t\(index)\":{\"dtype\":\"\(width.0)\",\"shape\":[\(rows)],"
        + "\"data_offsets\":[\(end - rows * width.1),\(last)]}"
    }
    header = "{" + entries.joined(separator: ",") + "}"
    switch random.below(10) {
    case 0: header = JSONFuzz.value(&random, depth: 4, keys: Self.keys)
    case 1: header = "{\"__metadata__\":{" + JSONFuzz.wide(&random, keys: Self.keys) + "}}"
    case 2: header = "{" + JSONFuzz.wide(&random, keys: Self.keys) + "}"
    default: break
    }
    var text = [UInt8](header.utf8)
    if random.once(in: 3) { text = FuzzMutation.mutate(text, &random) }
    let edges: [UInt64] = [0, 1, UInt64(text.count) + 1, 100_000_001, 1 << 63, .max]
    let length = random.once(in: 12) ? random.pick(edges) : UInt64(text.count)
    let count = random.once(in: 8) ? random.below(64) : offset
    let bytes =
      withUnsafeBytes(of: length.littleEndian) { Array($0) } + text
      + (0..<count).map { UInt8(truncatingIfNeeded: $0) }
    return random.once(in: 8) ? FuzzMutation.mutate(bytes, &random) : bytes
  }

  /// Reads a file and every value in it.
  public func read(_ input: [UInt8]) throws {
    let tensors = try Safetensors.read(path: try file.write(input, to: "x.safetensors"))
    for tensor in tensors.tensors {
      guard tensor.elementCount == tensor.shape.reduce(1, *) else { throw WrongCount() }
      if [.f16, .f32, .bf16, .f64].contains(tensor.type) { _ = try tensors.floats(tensor.name) }
    }
  }

  private struct WrongCount: Error {}
}

/// Makes configurations of adapters, and reads them as `reft adapter info` does.
public struct AdapterFuzz: FuzzReader {
  /// The name on the command line.
  public static let name = "adapter_config"

  private let file = FuzzFolder()

  /// Makes a reader.
  public init() {}

  private static let keys = [
    "format", "format_version", "base_model", "interventions", "plugin", "layers", "component",
    "positions", "share_weights", "options", "isolation", "template", "training", "hidden_size",
  ]

  /// Makes one configuration.
  public func makeInput(_ random: inout FuzzRandom) -> [UInt8] {
    var text = """
      {"format": "reft-adapter", "format_version": 1,
       "base_model": {"name": "Tiny", "architecture": "llama", "hidden_size": 64, "layers": 2},
       "interventions": [{"plugin": "loreft", "layers": [0, 1], "component": "block_output",
                          "positions": "f1+l1", "share_weights": true, "options": {"rank": 2}}],
       "template": "none", "training": {"steps": 3}}
      """
    for _ in 0..<random.below(3) {
      let key = random.pick(Self.keys)
      guard let range = text.range(of: "\"\(key)\": ") else { continue }
      let value = JSONFuzz.value(&random, depth: 3, keys: Self.keys)
      text.insert(
        contentsOf: random.once(in: 2) ? value + ", \"x\": " : value,
        at: range.upperBound
      )
    }
    if random.once(in: 8) { text = JSONFuzz.value(&random, depth: 5, keys: Self.keys) }
    let bytes = [UInt8](text.utf8)
    return random.once(in: 2) ? FuzzMutation.mutate(bytes, &random) : bytes
  }

  /// Reads the configuration with a file of tensors beside it.
  public func read(_ input: [UInt8]) throws {
    _ = try file.write(input, to: "adapter_config.json")
    let empty: [UInt8] = [2, 0, 0, 0, 0, 0, 0, 0] + "{}".utf8
    _ = try file.write(empty, to: "adapter_model.safetensors")
    _ = try AdapterSummary(path: file.path)
  }
}
