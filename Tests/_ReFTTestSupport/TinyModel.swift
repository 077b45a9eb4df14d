// SPDX-License-Identifier: Apache-2.0
// A small random model as a GGUF file: every path of the real one, in a few hundred kilobytes.

public import ReFTTensor

/// The shape of a random llama model for tests; the same shape and seed give the same bytes.
public struct TinyModel: Sendable {
  /// How many blocks it has.
  public var blocks = 2
  /// The width of the residual stream.
  public var hiddenSize = 64
  /// How many query heads each block has.
  public var heads = 4
  /// How many key and value heads each block has.
  public var keyValueHeads = 2
  /// The width of the feed-forward part.
  public var feedForwardSize = 160
  /// The longest context that the file claims.
  public var contextLength = 512
  /// The number of `general.file_type`; nil: that of the weights' format.
  public var fileTypeNumber: UInt32?
  /// The format of the weight matrices.
  public var weightType = TensorType.f32
  /// The format of the token embeddings.
  public var embeddingType = TensorType.f32
  /// Whether the output matrix is the embedding matrix.
  public var isTied = true
  /// Whether the tokenizer puts the start token before a text.
  public var addsStartToken = false
  /// Where the random weights start.
  public var seed: UInt64 = 1

  /// The defaults: float32, 2 blocks × 64, 4 heads, 2 key and value heads.
  public init() {}

  /// A model with all matrices in one format, wide enough for its blocks.
  public init(weightType: TensorType) {
    self.weightType = weightType
    embeddingType = weightType
    if weightType.blockSize == 256 {
      hiddenSize = 256
      feedForwardSize = 512
    }
  }

  /// The ids of the special tokens, as in SmolLM2: end of text, start and end of a turn.
  public static let endOfText: Int32 = 0
  /// The id of "<|im_start|>", which is also the start token.
  public static let startOfTurn: Int32 = 1
  /// The id of "<|im_end|>", which is also the end token.
  public static let endOfTurn: Int32 = 2
  /// How many tokens the tokenizer knows.
  public static let vocabularySize = TinyVocabulary.tokens.count

  /// Writes the file.
  ///
  /// - Parameters:
  ///   - folder: an existing folder.
  ///   - name: the file's name in it.
  /// - Returns: the path of the file.
  /// - Throws: when the file cannot be written.
  @discardableResult
  public func write(in folder: String, name: String = "tiny.gguf") throws -> String {
    let path = folder + "/" + name
    try writer().write(to: path)
    return path
  }

  /// The file before it is laid out, for tests that want to spoil it.
  public func writer() -> GGUFWriter {
    var file = GGUFWriter()
    addMetadata(to: &file)
    TinyVocabulary.addMetadata(to: &file, addsStartToken: addsStartToken)
    addTensors(to: &file)
    return file
  }

  private func addMetadata(to file: inout GGUFWriter) {
    file.set("general.architecture", .string("llama"))
    file.set("general.type", .string("model"))
    file.set("general.name", .string("Tiny"))
    file.set("llama.block_count", .uint32(UInt32(blocks)))
    file.set("llama.context_length", .uint32(UInt32(contextLength)))
    file.set("llama.embedding_length", .uint32(UInt32(hiddenSize)))
    file.set("llama.feed_forward_length", .uint32(UInt32(feedForwardSize)))
    file.set("llama.attention.head_count", .uint32(UInt32(heads)))
    file.set("llama.attention.head_count_kv", .uint32(UInt32(keyValueHeads)))
    file.set("llama.rope.freq_base", .float32(10_000))
    file.set("llama.rope.dimension_count", .uint32(UInt32(hiddenSize / heads)))
    file.set("llama.attention.layer_norm_rms_epsilon", .float32(1e-5))
    file.set("llama.vocab_size", .uint32(UInt32(Self.vocabularySize)))
    file.set("general.file_type", .uint32(fileTypeNumber ?? fileType))
    file.set("general.quantization_version", .uint32(2))
  }

  /// The file type numbers of llama.cpp.
  private var fileType: UInt32 {
    switch weightType {
    case .f32: 0
    case .f16: 1
    case .q4_0: 2
    case .q4_1: 3
    case .q8_0: 7
    case .q5_0: 8
    case .q5_1: 9
    case .q6_K: 18
    case .bf16: 32
    default: 1024
    }
  }

  private func addTensors(to file: inout GGUFWriter) {
    var random = SeededGenerator(seed: seed)
    func matrix(_ name: String, rows: Int, columns: Int, _ type: TensorType, scale: Float) {
      let values = random.normals(rows * columns, scale: scale)
      file.add(name, type, dimensions: [columns, rows], values: values)
    }
    func weight(_ name: String, rows: Int, columns: Int) {
      let scale = 1 / Float(columns).squareRoot()
      matrix(name + ".weight", rows: rows, columns: columns, weightType, scale: scale)
    }
    func norm(_ name: String) {
      let values = random.normals(hiddenSize, scale: 0.1).map { 1 + $0 }
      file.add(name + ".weight", .f32, dimensions: [hiddenSize], values: values)
    }
    let keyValueSize = hiddenSize / heads * keyValueHeads
    matrix(
      "token_embd.weight",
      rows: Self.vocabularySize,
      columns: hiddenSize,
      embeddingType,
      scale: 0.3
    )
    for block in 0..<blocks {
      norm("blk.\(block).attn_norm")
      weight("blk.\(block).ffn_down", rows: hiddenSize, columns: feedForwardSize)
      weight("blk.\(block).ffn_gate", rows: feedForwardSize, columns: hiddenSize)
      weight("blk.\(block).ffn_up", rows: feedForwardSize, columns: hiddenSize)
      norm("blk.\(block).ffn_norm")
      weight("blk.\(block).attn_k", rows: keyValueSize, columns: hiddenSize)
      weight("blk.\(block).attn_output", rows: hiddenSize, columns: hiddenSize)
      weight("blk.\(block).attn_q", rows: hiddenSize, columns: hiddenSize)
      weight("blk.\(block).attn_v", rows: keyValueSize, columns: hiddenSize)
    }
    norm("output_norm")
    if !isTied {
      matrix(
        "output.weight",
        rows: Self.vocabularySize,
        columns: hiddenSize,
        embeddingType,
        scale: 0.3
      )
    }
  }
}
