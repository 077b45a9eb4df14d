// SPDX-License-Identifier: Apache-2.0
// What every family states: its sizes, a title, a head. The parts of blocks are in ModelSizes+Parts.

import ReFTTensor

/// The sizes that every model states.
struct ModelSizes {
  var name: String
  var layers: Int
  var hidden: Int
  var heads: Int
  var keyValueHeads: Int
  var headSize: Int
  var feedForward: Int
  var context: Int
  var vocabulary: Int

  /// Reads them.
  ///
  /// - Parameters:
  ///   - file: where to read.
  ///   - widening: how many times the width the MLP has where the file does not say; nil if it must.
  /// - Throws: `badData` for a missing key, a value out of range, or heads that do not fit.
  init(_ file: ModelReader, widening: Int? = nil) throws(ReFTError) {
    let path = file.path
    layers = try file.size("block_count", in: 1...1024)
    let hidden = try file.size("embedding_length", in: 2...(1 << 17))
    self.hidden = hidden
    heads = try file.size("attention.head_count", in: 1...4096)
    keyValueHeads = try file.size("attention.head_count_kv", in: 1...heads, default: heads)
    headSize = try file.size(
      "attention.key_length",
      in: 2...4096,
      default: max(2, hidden / heads)
    )
    feedForward = try file.size(
      "feed_forward_length",
      in: 1...(1 << 20),
      default: widening.map { $0 * hidden }
    )
    context = try file.size("context_length", in: 1...(1 << 26))
    guard heads % keyValueHeads == 0, headSize % 2 == 0 else {
      throw .headsDoNotFit(heads: heads, keyValueHeads: keyValueHeads, headSize: headSize, path)
    }
    let values = try file.size("attention.value_length", in: 2...4096, default: headSize)
    guard values == headSize else { throw .valueSize(values, keySize: headSize, path) }
    guard let embedding = file.tensor("token_embd"), embedding.shape.count == 2 else {
      throw .missingTensor(file.name("token_embd"), path)
    }
    vocabulary = embedding.shape[0]
    guard (1...Int(Int32.max)).contains(vocabulary) else {
      throw .tensorShape(
        embedding.name,
        found: file.source.inFileOrder(embedding.shape),
        expected: file.source.inFileOrder([1, hidden]),
        path
      )
    }
    try ModelKind.checkVocabulary(file.source, rows: vocabulary)
    // The embedding matrix is what counts.
    _ = file.has("vocab_size")
    if case .string(let title) = file.source.metadata["general.name"] {
      name = title
    } else {
      name = file.source.path.split(separator: "/").last.map(String.init) ?? "model"
    }
  }

  /// The embedding of tokens alone.
  ///
  /// - Throws: `badData` naming the tensor.
  func embedding(
    _ file: ModelReader,
    scale: Float = 1
  ) throws(ReFTError) -> ModelPlan.Embedding {
    ModelPlan.Embedding(
      weight: try file.matrix("token_embd", rows: vocabulary, columns: hidden),
      scale: scale
    )
  }

  /// The head: a matrix of its own, or the embedding where the file has none or ties them.
  ///
  /// - Throws: `badData` naming the tensor.
  func head(
    _ file: ModelReader,
    embedding: ModelPlan.Embedding,
    tiesByDefault: Bool,
    softCap: Float? = nil
  ) throws(ReFTError) -> ModelPlan.Head {
    // A GGUF file that has the matrix means it; a folder may hold a copy that is not used.
    let isGGUF = file.source.format == .gguf
    let ties = isGGUF ? false : try file.flag("tied", default: tiesByDefault)
    var weight = embedding.weight
    if ties {
      file.ignore("output")
    } else if !isGGUF || file.tensor("output") != nil {
      weight = try file.matrix("output", rows: vocabulary, columns: hidden)
    }
    return .language(ModelPlan.LanguageHead(weight: weight, softCap: softCap))
  }

  /// A plan of these sizes.
  ///
  /// - Throws: what `block` throws.
  func plan(
    _ architecture: String,
    embedding: ModelPlan.Embedding,
    finalNorm: ModelPlan.Norm?,
    head: ModelPlan.Head,
    block: (_ index: Int) throws(ReFTError) -> ModelPlan.Block
  ) throws(ReFTError) -> ModelPlan {
    var blocks: [ModelPlan.Block] = []
    for index in 0..<layers { blocks.append(try block(index)) }
    return ModelPlan(
      name: name,
      architecture: architecture,
      contextLength: context,
      embedding: embedding,
      blocks: blocks,
      finalNorm: finalNorm,
      head: head
    )
  }

  /// Keys that some families have beside these, at values that change nothing.
  ///
  /// - Throws: `badData` naming the key that says otherwise.
  func checkConstants(_ file: ModelReader) throws(ReFTError) {
    for key in ["rope.scaling.original_context_length", "rope.scaling.finetuned"] {
      _ = file.has(key)
    }
    try file.expect([
      "expert_count": .int(0), "expert_used_count": .int(0), "expert_shared_count": .int(0),
      "attention.causal": .bool(true), "attention.clamp_kqv": .int(0),
      "attention.max_alibi_bias": .int(0), "use_parallel_residual": .bool(false),
      "logit_scale": .int(1), "embedding_scale": .int(1), "residual_scale": .int(1),
      "attn_logit_softcapping": .int(0), "final_logit_softcapping": .int(0),
      "rope.scaling.attn_factor": .int(1), "rope_interleaved": .bool(false),
      "bidirectional": .bool(false),
    ])
  }
}
