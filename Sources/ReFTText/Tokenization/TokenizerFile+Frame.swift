// SPDX-License-Identifier: Apache-2.0
// What a `tokenizer.json` puts around a text, or around two: its post-processors.

import ReFTTensor

extension TokenizerFile {
  /// Reads the tokens around a text; of several processors the last one with tokens counts.
  mutating func readFrame() throws(ReFTError) {
    for node in try parts("post_processor", "processors") {
      switch try text("type", of: node) {
      case "ByteLevel": continue
      case "TemplateProcessing": try readTemplate(node)
      case "BertProcessing":
        let frame = TextFrame.bert(
          cls: try processorToken("cls", node),
          separator: try processorToken("sep", node)
        )
        set { $0.frame = frame }
      case "RobertaProcessing":
        let frame = TextFrame.roberta(
          cls: try processorToken("cls", node),
          separator: try processorToken("sep", node)
        )
        set { $0.frame = frame }
      default:
        throw unknownPart(
          node,
          "post_processor",
          "TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel"
        )
      }
    }
    // What the file does not say, the kind of its model does not say either.
    if metadata.model == "bert", metadata.frame == nil { set { $0.frame = .plain(bos: nil) } }
  }

  /// A token of BERT's and RoBERTa's processors: `["[SEP]", 102]`.
  private func processorToken(_ key: String, _ node: JSONNode) throws(ReFTError) -> Int32 {
    if case .list(let items)? = node[key]?.content, items.count == 2 {
      return Int32(try tokenID(items[1], of: "post_processor.\(key)"))
    }
    let found = node[key]?.shown ?? "nothing"
    throw .tokenizerPart(path, node.place, "post_processor.\(key)", found, "a token and its id")
  }

  private mutating func readTemplate(_ node: JSONNode) throws(ReFTError) {
    let single = try templateParts("single", node)
    guard single.filter(\.isFirst).count == 1, !single.contains(where: \.isSecond) else {
      throw .tokenizerPart(
        path,
        node.place,
        "post_processor.single",
        "a template without exactly one text, A",
        "tokens around one text"
      )
    }
    let pair = try templateParts("pair", node)
    let isPair = pair.filter(\.isFirst).count == 1 && pair.filter(\.isSecond).count == 1
    let frame = TextFrame(single: single, pair: isPair ? pair : single + [.second(type: 1)])
    // Where a language model reads a start token, the part before the text is that token.
    if case .token(let id, _) = single[0], case .first = single[1], metadata.model != "bert" {
      set {
        $0.roles["bos"] = Int(id)
        $0.addsBOS = true
      }
    }
    set { $0.frame = frame }
  }

  private func templateParts(
    _ key: String,
    _ node: JSONNode
  ) throws(ReFTError) -> [TextFrame.Part] {
    var parts: [TextFrame.Part] = []
    for item in try list(key, of: node) {
      if let sequence = item["Sequence"] {
        let type = try typeID(sequence)
        parts.append(
          try text("id", of: sequence) == "B" ? .second(type: type) : .first(type: type)
        )
      } else if let special = item["SpecialToken"], let name = try text("id", of: special) {
        let type = try typeID(special)
        for id in try specialIDs(name, node) { parts.append(.token(id, type: type)) }
      } else {
        throw .tokenizerPart(
          path,
          item.place,
          "post_processor.\(key)",
          item.shown,
          "a Sequence or a SpecialToken"
        )
      }
    }
    return parts
  }

  private func typeID(_ node: JSONNode) throws(ReFTError) -> Int32 {
    guard let type = node["type_id"] else { return 0 }
    if case .integer(let value) = type.content, let id = Int32(exactly: value) { return id }
    throw .tokenizerPart(path, type.place, "type_id", type.shown, "a small whole number")
  }

  /// The ids that a template's name stands for.
  private func specialIDs(_ name: String, _ node: JSONNode) throws(ReFTError) -> [Int32] {
    if let special = node["special_tokens"]?[name] {
      var ids: [Int32] = []
      for id in try list("ids", of: special) {
        ids.append(Int32(try tokenID(id, of: "post_processor.special_tokens")))
      }
      return ids
    }
    for entry in try list("added_tokens", of: root) {
      if try text("content", of: entry) == name, let id = entry["id"] {
        return [Int32(try tokenID(id, of: "added_tokens"))]
      }
    }
    throw .tokenizerPart(
      path,
      node.place,
      "post_processor",
      "the token '\(name.shown())'",
      "one of special_tokens or added_tokens"
    )
  }
}

extension TextFrame.Part {
  /// Whether this is the place of the first text.
  fileprivate var isFirst: Bool { if case .first = self { true } else { false } }
  /// Whether this is the place of the second text.
  fileprivate var isSecond: Bool { if case .second = self { true } else { false } }
}
