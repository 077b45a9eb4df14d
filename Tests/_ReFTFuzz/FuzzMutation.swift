// SPDX-License-Identifier: Apache-2.0
// Changes to the bytes of an input that any reader can be given.

/// Small damages: what a stranger's file may have suffered, or been made to suffer.
public enum FuzzMutation {
  /// Numbers at the edges, as text.
  private static let edges = [
    "0", "-1", "9223372036854775807", "-9223372036854775808", "1e999", "4294967296", "2147483648",
    "99999999999999999999",
  ]

  /// Changes some bytes, doubles a part, cuts one out, puts one elsewhere.
  public static func mutate(_ input: [UInt8], _ random: inout FuzzRandom) -> [UInt8] {
    var bytes = input
    for _ in 0...random.below(4) {
      guard !bytes.isEmpty else { return [UInt8](edges[0].utf8) }
      let start = random.below(bytes.count)
      let end = min(bytes.count, start + 1 + random.below(min(64, bytes.count)))
      let part = bytes[start..<end]
      switch random.below(7) {
      case 0: bytes[start] = UInt8(truncatingIfNeeded: random.next())
      case 1: bytes[start] ^= 1 << UInt8(random.below(8))
      case 2: bytes.removeSubrange(start..<end)
      case 3: bytes.insert(contentsOf: part, at: random.below(bytes.count))
      case 4:
        let copies = 1 << random.below(12)
        bytes.insert(contentsOf: repeatElement(part, count: copies).joined(), at: start)
      case 5: bytes.replaceSubrange(start..<end, with: random.pick(edges).utf8)
      default: bytes.removeSubrange(start...)
      }
    }
    return bytes
  }
}
