// SPDX-License-Identifier: Apache-2.0
// Finds tokens that are taken from the text before it is cut, such as `<|im_start|>`.

/// A trie over the bytes of marker tokens that finds the longest one at a place.
struct MarkerTrie: Sendable {
  private struct Node: Sendable {
    var byte: UInt8
    var token: Int32 = -1
    var firstChild: Int32 = -1
    var nextSibling: Int32 = -1
  }

  private var nodes = [Node(byte: 0)]
  /// The node of each first byte, −1 where no marker starts with it.
  private var roots = [Int32](repeating: -1, count: 256)

  /// Whether there is no marker.
  var isEmpty: Bool { nodes.count == 1 }

  /// Adds a marker; an empty text is never found.
  mutating func insert(_ text: some Sequence<UInt8>, token: Int32) {
    var current = 0
    for byte in text {
      current = child(of: current, byte: byte) ?? addChild(to: current, byte: byte)
    }
    if current != 0 { nodes[current].token = token }
  }

  /// The longest marker that starts at `index`, or nil.
  @inline(__always)
  func longestMatch(in text: ByteText, at index: Int, end: Int) -> (token: Int32, length: Int)? {
    let root = roots[Int(text.bytes[index])]
    return root < 0 ? nil : longestMatch(from: Int(root), in: text, at: index, end: end)
  }

  /// Calls `body` with each marker that starts at `index`, the shortest first.
  @inline(__always)
  func forEachMatch(
    in text: ByteText,
    at index: Int,
    end: Int,
    _ body: (_ token: Int32, _ length: Int) -> Void
  ) {
    var current = 0
    var length = 0
    while index + length < end,
      let next = child(of: current, byte: text.bytes[index + length])
    {
      current = next
      length += 1
      if nodes[current].token >= 0 { body(nodes[current].token, length) }
    }
  }

  private func longestMatch(
    from root: Int,
    in text: ByteText,
    at index: Int,
    end: Int
  ) -> (token: Int32, length: Int)? {
    var best: (token: Int32, length: Int)?
    var current = root
    var length = 1
    while true {
      if nodes[current].token >= 0 { best = (nodes[current].token, length) }
      guard index + length < end,
        let next = child(of: current, byte: text.bytes[index + length])
      else { return best }
      current = next
      length += 1
    }
  }

  private func child(of node: Int, byte: UInt8) -> Int? {
    if node == 0 { return roots[Int(byte)] < 0 ? nil : Int(roots[Int(byte)]) }
    var child = nodes[node].firstChild
    while child >= 0, nodes[Int(child)].byte != byte { child = nodes[Int(child)].nextSibling }
    return child < 0 ? nil : Int(child)
  }

  private mutating func addChild(to node: Int, byte: UInt8) -> Int {
    let child = nodes.count
    nodes.append(Node(byte: byte, nextSibling: node == 0 ? -1 : nodes[node].firstChild))
    if node == 0 {
      roots[Int(byte)] = Int32(child)
    } else {
      nodes[node].firstChild = Int32(child)
    }
    return child
  }
}
