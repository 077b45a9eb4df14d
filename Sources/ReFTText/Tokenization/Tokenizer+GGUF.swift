// SPDX-License-Identifier: Apache-2.0
// Reads the tokenizer's keys out of a model file.

public import ReFTTensor

extension Tokenizer {
  /// Builds the tokenizer that a model file describes.
  ///
  /// - Throws: `badData` naming the key, token or merge that is missing or does not fit.
  public convenience init(gguf: GGUFFile) throws(ReFTError) {
    try self.init(TokenizerMetadata(gguf), path: gguf.file.path)
  }
}

extension TokenizerMetadata {
  /// The keys `tokenizer.ggml.<role>_token_id` that are read.
  private static let roleNames = [
    "bos", "eos", "eot", "eom", "unknown", "padding", "cls", "seperator",
  ]

  /// Takes the tokenizer's keys from a model file, unchecked.
  package init(_ gguf: GGUFFile) throws(ReFTError) {
    self.init()
    let path = gguf.file.path
    func required<Value>(_ key: String, _ value: Value?) throws(ReFTError) -> Value? {
      if value == nil, gguf.metadata[key] != nil {
        throw .tokenizerKeyMissing(key, path: path)
      }
      return value
    }
    func key(_ name: String) -> String { "tokenizer.ggml.\(name)" }
    model = try required(key("model"), gguf.string(key("model")))
    preTokenizer = try required(key("pre"), gguf.string(key("pre")))
    // Files from before there was the key have GPT-2's kind of cuts.
    if preTokenizer == nil, model == "gpt2" { preTokenizer = "default" }
    if let texts = gguf.strings(key("tokens")) { tokens = StringTable(texts) }
    types = try required(key("token_type"), gguf.ints(key("token_type")))
    merges = try required(key("merges"), gguf.strings(key("merges"))).map { StringTable($0) }
    scores = try required(key("scores"), gguf.floats(key("scores")))
    let hasPrefix = try required(key("add_space_prefix"), gguf.bool(key("add_space_prefix")))
    if hasPrefix == false { prefix = .never }
    addsBOS = try required(key("add_bos_token"), gguf.bool(key("add_bos_token")))
    addsEOS = try required(key("add_eos_token"), gguf.bool(key("add_eos_token"))) ?? false
    let squeezes = key("remove_extra_whitespaces")
    squeezesSpaces = try required(squeezes, gguf.bool(squeezes)) ?? false
    let map = key("precompiled_charsmap")
    characterMap = try required(map, gguf.ints(map))?.map { UInt8(truncatingIfNeeded: $0) }
    roundsScores = true
    for role in Self.roleNames {
      let name = key("\(role)_token_id")
      roles[role] = try required(name, gguf.int(name))
    }
  }
}
