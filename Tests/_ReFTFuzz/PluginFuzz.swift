// SPDX-License-Identifier: Apache-2.0
// Files about plugins: shared libraries, manifests and the record of trust. Nothing of them is run.

import Foundation
import ReFTHost
import ReFTTensor

/// Damages the tables of a shared library of ours, and looks at it as the host does before loading.
public struct ELFFuzz: FuzzReader {
  /// The name on the command line.
  public static let name = "elf"

  private let file = FuzzFolder()
  private let library: [UInt8]

  /// Makes a reader from the plugin beside the running program.
  public init() {
    let program =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    let path = (program as NSString).deletingLastPathComponent + "/libLoReFT.so"
    library = (try? Data(contentsOf: URL(fileURLWithPath: path))).map { Array($0) } ?? []
  }

  /// Makes one file: numbers of its tables at the edges, parts cut off.
  public func makeInput(_ random: inout FuzzRandom) -> [UInt8] {
    guard library.count > 8192 else { return library }
    var bytes = library
    for _ in 0..<random.below(4) {
      // The header and the segments stand at the start, the sections at the end.
      let place = random.once(in: 3) ? library.count - 1 - random.below(4096) : random.below(4096)
      let width = random.pick([1, 2, 4, 8])
      let value = random.pick([0, 1, -1, .max, .min, library.count, Int(random.next() >> 1)])
      for index in 0..<width where place + index < bytes.count {
        bytes[place + index] = UInt8(truncatingIfNeeded: value >> (8 * index))
      }
    }
    if random.once(in: 6) { bytes.removeLast(random.below(bytes.count)) }
    return bytes
  }

  /// Looks at the file.
  public func read(_ input: [UInt8]) throws {
    _ = try PluginFile(anywhere: try file.write(input, to: "x.so")).look()
  }
}

/// Makes manifests, and reads them with the library that they name.
public struct ManifestFuzz: FuzzReader {
  /// The name on the command line.
  public static let name = "manifest"

  private let file = FuzzFolder()

  /// Makes a reader.
  public init() {}

  private static let keys = [
    "reft_manifest", "id", "library", "options", "name", "type", "default", "forward", "backward",
    "symbol", "returns", "arguments", "parameters", "shape", "capabilities",
  ]

  /// Makes one manifest.
  public func makeInput(_ random: inout FuzzRandom) -> [UInt8] {
    var text = """
      {"reft_manifest": 1, "id": "org.example.clip", "library": "libclip.so",
       "options": [{"name": "limit", "type": "float", "default": 4.0}],
       "parameters": [{"name": "scale", "shape": ["dim"]}],
       "forward": {"symbol": "rows", "returns": "i32",
         "arguments": ["x:f32*", "y:f32*", "rows:i64", "dim:i64", "option.limit:f32"]}}
      """
    JSONFuzz.change(&text, keys: Self.keys, &random)
    let bytes = [UInt8](text.utf8)
    return random.once(in: 2) ? FuzzMutation.mutate(bytes, &random) : bytes
  }

  /// Reads the manifest; the library that it names is no library.
  public func read(_ input: [UInt8]) throws {
    _ = try file.write([], to: "libclip.so")
    let path = try file.write(input, to: "clip.reft.json")
    _ = try PluginBytes(PluginFile(anywhere: path)).hash
  }
}

/// Makes records of trust, and asks them.
public struct TrustFuzz: FuzzReader {
  /// The name on the command line.
  public static let name = "trust"

  private let file = FuzzFolder()

  /// Makes a reader.
  public init() {}

  private static let keys = [
    "reft_trust", "plugins", "name", "path", "trusted", "checked_level", "checked_at",
    "broken_rules", "quarantine", "capsule", "reason",
  ]

  /// Makes one record.
  public func makeInput(_ random: inout FuzzRandom) -> [UInt8] {
    var text = """
      {"reft_trust": 1, "plugins": {"sha256:00": {"name": "x", "path": "/x.so", "trusted": true,
       "checked_level": 3, "checked_at": "2026-01-01T00:00:00Z", "broken_rules": null}}}
      """
    JSONFuzz.change(&text, keys: Self.keys, &random)
    let bytes = [UInt8](text.utf8)
    return random.once(in: 2) ? FuzzMutation.mutate(bytes, &random) : bytes
  }

  /// Asks the record.
  public func read(_ input: [UInt8]) throws {
    let path = try file.write(input, to: "trust.json")
    chmod(path, 0o600)
    _ = try TrustStore(path: path).trust(hash: "sha256:00", path: "/x.so")
  }
}
