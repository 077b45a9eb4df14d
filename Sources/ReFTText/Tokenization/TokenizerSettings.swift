// SPDX-License-Identifier: Apache-2.0
// The small files beside a `tokenizer.json`: which tokens begin and end a text, and the chat template.

package import ReFTTensor

/// What `tokenizer_config.json`, `generation_config.json` and `chat_template.jinja` say.
package struct TokenizerSettings: Sendable {
  /// The texts of the tokens with a meaning, by role: bos, eos, padding, unknown.
  private var tokens: [String: String] = [:]
  /// Further tokens that end a reply.
  private var ends: [Int] = []
  private var addsBOS: Bool?
  private let path: String
  /// The chat template, with the file that it stands in.
  package private(set) var chatTemplate: (source: String, path: String)?

  /// Reads the files of a folder, those that are there.
  ///
  /// - Throws: `badData` naming file and place, `inputOutput`.
  package init(folder: String) throws(ReFTError) {
    path = folder + "/tokenizer_config.json"
    if let root = try Self.document(path) { try readConfiguration(root) }
    let generation = folder + "/generation_config.json"
    if let node = try Self.document(generation)?["eos_token_id"] {
      switch node.content {
      case .integer(let id): ends = [Int(clamping: id)]
      case .list(let items):
        for case .integer(let id) in items.map(\.content) { ends.append(Int(clamping: id)) }
      default: break
      }
    }
    let template = folder + "/chat_template.jinja"
    do {
      let bytes = try TextFile.bytes(path: template, limit: 1 << 20)
      chatTemplate = (String(decoding: bytes, as: UTF8.self), template)
    } catch  where error.code == .inputMissing {
      return
    }
  }

  private static func document(_ path: String) throws(ReFTError) -> JSONNode? {
    do {
      return try JSONFile.read(path: path)
    } catch  where error.code == .inputMissing {
      return nil
    }
  }

  private mutating func readConfiguration(_ root: JSONNode) throws(ReFTError) {
    for (role, key) in [
      ("bos", "bos_token"), ("eos", "eos_token"), ("padding", "pad_token"),
      ("unknown", "unk_token"),
    ] {
      guard let node = root[key] else { continue }
      switch node["content"]?.content ?? node.content {
      case .text(let text): tokens[role] = text
      case .null: continue
      default: throw .tokenizerPart(path, node.place, key, node.shown, "a text")
      }
    }
    if case .flag(let flag)? = root["add_bos_token"]?.content { addsBOS = flag }
    switch root["chat_template"]?.content {
    case .text(let source): chatTemplate = (source, path)
    case .list(let named):
      let usual = named.first { $0["name"]?.word == "default" } ?? named.first
      if case .text(let source)? = usual?["template"]?.content { chatTemplate = (source, path) }
    default: break
    }
  }

  /// Adds to what the tokenizer's own file says.
  ///
  /// - Throws: `badData` for a token that the vocabulary lacks.
  func apply(to metadata: inout TokenizerMetadata) throws(ReFTError) {
    let index: TextIndex
    do {
      index = try TextIndex(metadata.tokens)
    } catch {
      return  // The vocabulary's own check says which two tokens are equal.
    }
    for (role, text) in tokens.sorted(by: { $0.key < $1.key }) {
      let id = Array(text.utf8).withUnsafeBufferPointer { index.id(of: $0, in: metadata.tokens) }
      guard id >= 0 else { throw .tokenizerTokenMissing(path, role: role, text: text) }
      metadata.roles[role] = Int(id)
    }
    metadata.ends = ends
    if let addsBOS { metadata.addsBOS = addsBOS }
  }
}
