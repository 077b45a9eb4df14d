// SPDX-License-Identifier: Apache-2.0
// What the field's libraries call the matrices of a family's blocks, whatever file a model came from: the
// names by which adapters of other programs say what they update.

import ReFTTensor

/// The modules of one family as transformers names them.
package struct ModuleNames: Sendable {
  /// What each projection's module is called inside a block, such as "self_attn.q_proj".
  package let modules: [BlockProjection: String]
  /// What stands before all names of the body.
  private let root: String
  /// What stands before the number of a block.
  private let blocks: String
  /// Whether the rows of queries, keys and values of each head stand together there.
  private let isByHead: Bool

  /// The names of a family.
  ///
  /// - Parameter architecture: the family, as a plan names it; nil is returned for another.
  package init?(architecture: String) {
    let family = Architectures.all.first { family in
      family.names.values.contains(architecture)
    }
    guard let family else { return nil }
    let names = family.fileNames(.huggingFace)
    var modules: [BlockProjection: String] = [:]
    let (stacked, isGated) = (names.parts["attn_qkv"], names.parts["ffn_up"] == "mlp.gate_up_proj")
    if let stacked {
      modules[.queryKeyValue] = stacked
    } else {
      modules[.query] = names.parts["attn_q"]
      modules[.key] = names.parts["attn_k"]
      modules[.value] = names.parts["attn_v"]
    }
    modules[.attentionOutput] = names.parts["attn_output"]
    modules[isGated ? .gateUp : .up] = names.parts["ffn_up"]
    // Families that call it otherwise have no gate.
    if names.parts["ffn_up"] == "mlp.up_proj" { modules[.gate] = names.parts["ffn_gate"] }
    modules[.down] = names.parts["ffn_down"]
    (self.modules, root, blocks) = (modules, names.root, names.blocks)
    isByHead = family == GPTNeoX.self
  }

  /// The full name of a projection's module; nil where the family has no module of it alone.
  package func module(_ projection: BlockProjection, block: Int) -> String? {
    modules[projection].map { root + blocks + "\(block)." + $0 }
  }

  /// What lists of target modules call a projection, so that no other of the family's is meant: the last
  /// word of its name, or more; nil where only its full name will do.
  package func target(_ projection: BlockProjection) -> String? {
    guard let name = modules[projection] else { return nil }
    let others = modules.values.filter { $0 != name }
    let words = name.split(separator: ".")
    for count in 1...words.count {
      let short = words.suffix(count).joined(separator: ".")
      if !others.contains(where: { $0 == short || $0.hasSuffix("." + short) }) { return short }
    }
    return nil
  }

  /// The projection that a module computes; nil for any other module.
  package func place(ofModule name: String) -> (block: Int, projection: BlockProjection)? {
    let body = name.hasPrefix(root) ? name.dropFirst(root.count) : name[...]
    guard body.hasPrefix(blocks) else { return nil }
    let words = body.dropFirst(blocks.count).split(separator: ".", maxSplits: 1)
    guard words.count == 2, let block = Int(words[0]), block >= 0,
      let projection = modules.first(where: { $0.value == words[1] })?.key
    else { return nil }
    return (block, projection)
  }

  /// Whether a projection's rows have another order in the module.
  package func isReordered(_ projection: BlockProjection) -> Bool {
    isByHead && projection == .queryKeyValue
  }

  /// For each row of a projection here, its row in the module; nil where the order is the same.
  package func rowOrder(
    of projection: BlockProjection,
    _ heads: (count: Int, size: Int)
  ) -> [Int]? {
    guard isReordered(projection) else { return nil }
    return (0..<3 * heads.count * heads.size).map { row in
      let (part, rest) = row.quotientAndRemainder(dividingBy: heads.count * heads.size)
      let (head, place) = rest.quotientAndRemainder(dividingBy: heads.size)
      return (3 * head + part) * heads.size + place
    }
  }
}
