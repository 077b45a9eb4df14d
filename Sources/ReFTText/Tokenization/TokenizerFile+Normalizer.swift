// SPDX-License-Identifier: Apache-2.0
// What a `tokenizer.json` does to text before it is cut.

import Foundation
import ReFTTensor

extension TokenizerFile {
  /// Reads the normalisers.
  mutating func readNormalizer() throws(ReFTError) {
    var steps: [Normalizer.Step] = []
    for node in try parts("normalizer", "normalizers") { steps += try changes(node) }
    set { $0.normalizer = Normalizer(steps) }
  }

  private mutating func changes(_ node: JSONNode) throws(ReFTError) -> [Normalizer.Step] {
    let kind = try text("type", of: node) ?? ""
    if let form = Normalizer.Form(rawValue: kind) { return [.form(form)] }
    switch kind {
    case "BertNormalizer": return try bertChanges(node)
    case "Lowercase": return [.lowercase]
    case "StripAccents": return [.stripMarks(onlyNonspacing: false)]
    case "Strip":
      return [
        .strip(
          left: try flag("strip_left", of: node) ?? true,
          right: try flag("strip_right", of: node) ?? true
        )
      ]
    case "Nmt": return [.nmt]
    case "ByteLevel": return []
    case "Prepend":
      let prefix = try text("prepend", of: node) ?? ""
      if prefix == "▁" { set { $0.prefix = .everyPart } }
      return [.prepend(Array(prefix.utf8))]
    case "Replace":
      let content = Array((try text("content", of: node) ?? "").utf8)
      return [.replace(try finder(try member("pattern", of: node)), by: content)]
    case "Precompiled":
      let encoded = try text("precompiled_charsmap", of: node) ?? ""
      guard let bytes = Data(base64Encoded: encoded), let map = CharacterMap(bytes) else {
        let found = node["precompiled_charsmap"]?.kind ?? "nothing"
        let expected = "SentencePiece's table in base 64"
        throw .tokenizerPart(path, node.place, "precompiled_charsmap", found, expected)
      }
      return [.map(map, byGrapheme: true, keeping: MarkerTrie())]
    default:
      throw unknownPart(
        node,
        "normalizer",
        "BertNormalizer, ByteLevel, Lowercase, NFC, NFD, NFKC, NFKD, Nmt, Precompiled, Prepend, "
          + "Replace, Strip, StripAccents"
      )
    }
  }

  private func bertChanges(_ node: JSONNode) throws(ReFTError) -> [Normalizer.Step] {
    let isLower = try flag("lowercase", of: node) ?? true
    var steps: [Normalizer.Step] = []
    if try flag("clean_text", of: node) ?? true { steps.append(.clean) }
    if try flag("handle_chinese_chars", of: node) ?? true { steps.append(.spaceChinese) }
    if try flag("strip_accents", of: node) ?? isLower {
      steps += [.form(.nfd), .stripMarks(onlyNonspacing: true)]
    }
    if isLower { steps.append(.lowercase) }
    return steps
  }
}
