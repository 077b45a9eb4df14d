// SPDX-License-Identifier: Apache-2.0
// What a model takes of memory, from the sizes by which passes allocate theirs.

public import ReFTTensor

/// Bytes that generating and training take, each by what it is for.
public struct MemoryEstimate: Sendable, Equatable {
  /// What the work is.
  public struct Shape: Sendable, Equatable {
    /// Tokens of each sequence: prompt and reply.
    public var context: Int
    /// Sequences at once.
    public var batch: Int
    /// Tokens of a prompt that are read in one step.
    public var promptTokens: Int
    /// Tokens of a pass of training.
    public var passTokens: Int
    /// How many of the upper blocks a training edits: those from the lowest edited one on.
    public var editedBlocks: Int

    /// Describes the work.
    public init(context: Int, batch: Int, promptTokens: Int, passTokens: Int, editedBlocks: Int) {
      (self.context, self.batch) = (context, batch)
      (self.promptTokens, self.passTokens) = (promptTokens, passTokens)
      self.editedBlocks = editedBlocks
    }
  }

  /// One part of the memory.
  public struct Item: Sendable, Equatable {
    /// What it holds, in words.
    public var name: String
    /// How much.
    public var byteCount: Int
  }

  /// What generating takes besides what opening does.
  public let generating: [Item]
  /// What training takes besides what opening does.
  public let training: [Item]

  /// Buffers grow a little beyond what is asked for.
  private static let growth = (numerator: 17, denominator: 16)
  /// Memory of a thread's own while it multiplies, about: panels, expanded rows and their like.
  private static let threadByteCount = 2 << 20

  /// Computes what a model takes.
  ///
  /// - Throws: `inputOutput` for sizes that no machine addresses.
  public init(
    _ model: FrozenModel,
    _ shape: Shape,
    precision: DecodePrecision = .int16,
    threads: Int = ThreadPool.shared.threadCount
  ) throws(ReFTError) {
    let purpose = MemoryPurpose("this shape", remedy: "ask for fewer tokens")
    func bytes(_ rows: Int, _ floats: Int) throws(ReFTError) -> Int {
      let grown = floats * 4 * Self.growth.numerator / Self.growth.denominator
      return try MemoryRoom.product(rows, grown, for: purpose)
    }
    func file(_ byteCount: Int) -> Item {
      Item(name: "weights as they lie in the file", byteCount: byteCount)
    }
    let repacked = precision.isExact ? 0 : model.repackedByteCount
    // One text reads its prompt and then decodes: the file's pages go back as weights are repacked. Of
    // several texts, one reads its prompt again while another decodes.
    let read = model.readByteCount
    let lasting = max(read - repacked, model.lastingByteCount)
    let scratch = Item(name: "threads", byteCount: threads * Self.threadByteCount)
    let sizes = model.configuration
    let pages = CachePages(model: model, format: precision.cache).layout
    let sequence = try pages.byteCount(count: max(1, shape.context), for: purpose)
    let cached = try MemoryRoom.product(shape.batch, sequence, for: purpose)
    let step = try bytes(min(shape.promptTokens, shape.context), model.stepFloatsPerRow)
    let logits = try bytes(shape.batch, sizes.vocabularySize)
    generating = [
      file(shape.batch == 1 && repacked > 0 ? lasting : read),
      Item(name: "weights repacked for decoding", byteCount: repacked),
      Item(name: "keys and values", byteCount: cached),
      Item(name: "a step's activations and logits", byteCount: step + logits), scratch,
    ]
    let kept = min(shape.editedBlocks, sizes.layers)
    let rows = try bytes(shape.passTokens, model.trainingFloatsPerRow(kept: kept))
    let head = try bytes(shape.passTokens, model.headFloatsPerLabel(kept: kept))
    training = [
      file(read), Item(name: "a pass's activations", byteCount: rows),
      Item(name: "the loss", byteCount: head), scratch,
    ]
  }
}

extension FrozenModel {
  /// Bytes of the file that passes read: of an embedding that is not the head, next to nothing.
  var readByteCount: Int {
    let embedding = embedding.weight.rows * embedding.weight.rowByteCount
    return source.dataByteCount - (plan.isTied ? 0 : embedding)
  }

  /// Bytes of all weights in the layouts that decoding reads.
  var repackedByteCount: Int { decoded.reduce(0) { $0 + RepackedWeight.byteCount(of: $1) } }

  /// Bytes of the file that are held beside repacked weights: those that have no such layout, and the
  /// largest weight while it is repacked.
  var lastingByteCount: Int {
    let replaced = decoded.filter { RepackedWeight.byteCount(of: $0) > 0 }.map { weight in
      weight.parts.reduce(0) { $0 + $1.rows * $1.rowByteCount }
    }
    return max(0, readByteCount - replaced.reduce(0, +)) + (replaced.max() ?? 0)
  }

  /// The weights that decoding multiplies with.
  private var decoded: [StackedWeight] {
    var weights = blocks.flatMap { block in
      [block.queryKeyValue, block.attentionOutput, block.mlpInput, block.down].map(\.weight)
    }
    if case .language(let head) = head { weights.append(head.weight) }
    return weights
  }
}
