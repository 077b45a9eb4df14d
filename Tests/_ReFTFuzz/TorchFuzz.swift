// SPDX-License-Identifier: Apache-2.0
// Files of torch.save: sound ones with damages, in the archive or in its pickle.

import Foundation
import ReFTTensor

/// Makes torch files, and reads every tensor.
public struct TorchFuzz: FuzzReader {
  /// The name on the command line.
  public static let name = "torch"

  private let file = FuzzFolder()

  /// Makes a reader.
  public init() {}

  /// Makes one file.
  public func makeInput(_ random: inout FuzzRandom) -> [UInt8] {
    let storages = (0..<(1 + random.below(3))).map { _ in
      [UInt8](repeating: UInt8(random.below(256)), count: 4 * random.below(9))
    }
    var pickle: [UInt8] =
      [0x80, 2] + Self.global("collections", "OrderedDict") + [0x29, 0x52, 0x28]
    for (index, storage) in storages.enumerated() {
      pickle += Self.text("t\(index)") + Self.tensor(index, storage.count / 4, &random)
    }
    pickle += [0x75, 0x2E]
    if random.once(in: 2) { pickle = Self.spoil(pickle, &random) }
    var entries = [("data.pkl", pickle), ("byteorder", Array("little".utf8))]
    for (index, storage) in storages.enumerated() { entries.append(("data/\(index)", storage)) }
    let bytes = Self.archive(entries, &random)
    return random.once(in: 3) ? FuzzMutation.mutate(bytes, &random) : bytes
  }

  /// Reads the file and every value in it.
  public func read(_ input: [UInt8]) throws {
    let torch = try TorchFile(path: try file.write(input, to: "x.bin"))
    for tensor in torch.tensors {
      let values = try torch.floats(tensor.name)
      guard values.count == tensor.elementCount else { throw WrongCount() }
    }
  }

  private struct WrongCount: Error {}

  /// Puts other steps into a pickle, some of which no file of tensors has.
  private static func spoil(_ pickle: [UInt8], _ random: inout FuzzRandom) -> [UInt8] {
    var bytes = pickle
    for _ in 0...random.below(3) {
      let steps: [[UInt8]] = [
        [0x29], [0x7D], [0x28], [0x74], [0x85], [0x86], [0x87], [0x52], [0x62], [0x51], [0x73],
        [0x75], [0x71, 1], [0x68, 1], [0x4B, 9], [0x4A, 255, 255, 255, 127], [0x8A, 8] + edge(8),
        [0x4E], [0x81], [0x93], [0x30], global("posix", "system"), text("x"), [0x8A, 255],
      ]
      bytes.insert(contentsOf: random.pick(steps), at: random.below(bytes.count))
    }
    return random.once(in: 3) ? FuzzMutation.mutate(bytes, &random) : bytes
  }

  private static func edge(_ count: Int) -> [UInt8] {
    [UInt8](repeating: 255, count: count - 1) + [127]
  }

  private static func global(_ module: String, _ name: String) -> [UInt8] {
    [0x63] + Array("\(module)\n\(name)\n".utf8)
  }

  private static func text(_ text: String) -> [UInt8] {
    [0x58] + number(text.utf8.count, 4) + Array(text.utf8)
  }

  private static func tensor(
    _ index: Int,
    _ count: Int,
    _ random: inout FuzzRandom
  ) -> [UInt8] {
    func odd(_ value: Int) -> Int {
      random.once(in: 30)
        ? random.pick([0, 1, -1, 3, Int(Int32.max), Int(Int32.min), value + 1]) : value
    }
    func int(_ value: Int) -> [UInt8] { [0x4A] + number(odd(value), 4) }
    let type = random.once(in: 12) ? random.pick(["Long", "Half", "Double", "Bool"]) : "Float"
    let columns = count % 2 == 0 && random.once(in: 2) ? 2 : 1
    let storage =
      [0x28] + text("storage") + global("torch", type + "Storage") + text(String(index))
      + text("cpu")
      + int(count) + [0x74, 0x51]
    let shape = [0x28] + int(count / columns) + int(columns) + [0x74]
    let strides = [0x28] + int(columns) + int(1) + [0x74]
    return global("torch._utils", "_rebuild_tensor_v2") + [0x28] + storage + int(0) + shape
      + strides
      + [0x89] + global("collections", "OrderedDict") + [0x29, 0x52, 0x74, 0x52]
  }

  /// An archive of stored entries whose numbers may be odd ones.
  private static func archive(
    _ entries: [(String, [UInt8])],
    _ random: inout FuzzRandom
  ) -> [UInt8] {
    var (bytes, directory): ([UInt8], [UInt8]) = ([], [])
    func odd(_ value: Int) -> Int {
      random.once(in: 150)
        ? random.pick([0, 0xFFFF_FFFF, 0x7FFF_FFFF, value + 1, value - 1]) : value
    }
    for (name, content) in entries {
      let (start, path) = (bytes.count, Array("a/\(name)".utf8))
      let sum = number(Int(checksum(content)), 4)
      let size = number(odd(content.count), 4)
      let common = [20, 0, 0, 8, 0, 0, 0, 0, 0, 0] + sum + size + size + number(path.count, 2)
      bytes += Array("PK".utf8) + [3, 4] + common + [0, 0] + path + content
      directory +=
        Array("PK".utf8) + [1, 2, 20, 0] + common + [UInt8](repeating: 0, count: 12)
        + number(odd(start), 4) + path
    }
    let end =
      Array("PK".utf8) + [5, 6, 0, 0, 0, 0] + number(entries.count, 2)
      + number(odd(entries.count), 2) + number(odd(directory.count), 4)
      + number(odd(bytes.count), 4)
    return bytes + directory + end + [0, 0]
  }

  private static func number(_ value: Int, _ width: Int) -> [UInt8] {
    (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  private static func checksum(_ bytes: [UInt8]) -> UInt32 {
    var sum: UInt32 = 0xFFFF_FFFF
    for byte in bytes {
      sum ^= UInt32(byte)
      for _ in 0..<8 { sum = sum & 1 == 1 ? (sum >> 1) ^ 0xEDB8_8320 : sum >> 1 }
    }
    return ~sum
  }
}
