// SPDX-License-Identifier: Apache-2.0
// One pass over rows on the card: its rows, their lists on the card, and where tensors lie.

import ReFTModel
import ReFTTensor

/// A span of rows as attention.cu reads it.
struct AttentionSpan {
  var start: Int32
  var count: Int32
  var position: Int32
  var prefix: Int32
  var keys: UInt64
  var values: UInt64
  var keyStride: Int32
  var keyStart: Int32
  var reserved: (Int32, Int32) = (0, 0)
}

/// The rows and memory of a pass.
final class DevicePass {
  let device: CUDADevice
  let operations: Operations
  let weights: DeviceWeights
  let shape: ModelConfiguration
  let memory: PassMemory
  let lists: DeviceLists

  private(set) var layout = PassLayout(PackedBatch(), sharedPrefix: 0)
  private(set) var sites: Set<Site> = []
  /// The first block that keeps what its way back needs.
  private(set) var firstKept = 0
  /// Whether rows are decoded tokens, one of its sequence each, and few.
  var isFew = false
  /// Whether what the next branch reads has been normed already.
  var isNormed = false
  /// Whether the residual stream of all blocks is one place, to which products are added.
  private(set) var isInPlace = false
  /// The caches that keys and values go to; nil where they lie in the pass's rows.
  var caches: DeviceCaches?
  var taps: DeviceTaps?
  /// The low-rank updates of products; nil for none.
  var updates: DeviceUpdates?

  // Lists of the pass on the card.
  private(set) var ids = DevicePointer(address: 0)
  private(set) var positions = DevicePointer(address: 0)
  private(set) var types: DevicePointer?
  private(set) var queryTiles = DevicePointer(address: 0)
  private(set) var queryTileCount = 0
  private(set) var keyTiles = DevicePointer(address: 0)
  private(set) var keyTileCount = 0
  private var spanLists: DevicePointer?
  private var countMemory: DeviceMemory?

  init(_ operations: Operations, _ weights: DeviceWeights, _ shape: ModelConfiguration) {
    (device, self.operations) = (operations.device, operations)
    (self.weights, self.shape) = (weights, shape)
    memory = PassMemory(operations.device)
    lists = DeviceLists(operations.device)
  }

  /// How many rows there are, T.
  var rows: Int { layout.rowCount }
  /// The width of a row of queries, keys and values.
  var headsWidth: Int { shape.queryWidth + 2 * shape.keyValueWidth }

  /// Begins a pass over the rows of a layout, and copies its lists to the card.
  ///
  /// - Throws: what the card reports.
  func begin(
    _ layout: PassLayout,
    sites: Set<Site>,
    firstKept: Int,
    needsTiles: Bool = true
  ) throws(ReFTError) {
    (self.layout, self.sites, self.firstKept) = (layout, sites, firstKept)
    // A product with few rows adds where it is; nobody may want the block's input afterwards.
    isInPlace =
      isFew && weights.isSequential && !sites.contains { $0.component == .blockOutput }
    isNormed = false
    _ = try weights.reserve(positions: layout.longestPosition + 1)
    try lists.begin()
    spanLists = nil
    ids = try lists.put(layout.ids)
    positions = try lists.put(layout.positions)
    types = layout.types.isEmpty ? nil : try lists.put(layout.types)
    guard needsTiles else { return }
    var (queries, keys): ([Int32], [Int32]) = ([], [])
    for (index, span) in layout.spans.enumerated() {
      for first in stride(from: 0, to: span.count, by: KernelShapes.attentionTile) {
        queries += [Int32(index), Int32(first)]
      }
    }
    // Long tiles first, so that no block is left alone at the end.
    (queryTiles, queryTileCount) = (try lists.put(queries), queries.count / 2)
    if firstKept < shape.layers {
      keys = queries
      (keyTiles, keyTileCount) = (try lists.put(keys), keys.count / 2)
    }
  }

  /// Begins a step that decodes one token of each sequence from lists that lie on the card already.
  ///
  /// - Returns: the addresses that a recording of the step would name.
  /// - Throws: what the card reports.
  func beginDecode(
    _ layout: PassLayout,
    _ inputs: DecodeGraph.Inputs,
    _ caches: [DeviceCache],
    sites: Set<Site>
  ) throws(ReFTError) -> [UInt64] {
    (self.layout, self.sites, firstKept) = (layout, sites, shape.layers)
    (isFew, types, taps, isNormed) = (true, nil, nil, false)
    updates = nil
    isInPlace = weights.isSequential && !sites.contains { $0.component == .blockOutput }
    (ids, positions) = (inputs.place(0), inputs.place(1))
    self.caches = DeviceCaches(
      caches,
      sequenceOfRow: inputs.place(2),
      positionOfRow: positions,
      table: inputs.table
    )
    return [ids.address] + weights.rotations.compactMap { $0.pointer?.address } + memory.addresses
  }

  func wants(_ component: Component, _ block: Int) -> Bool {
    sites.contains(Site(block: block, component: component))
  }

  /// Whether a block's way back will come.
  func keeps(_ block: Int) -> Bool { block >= firstKept && block < shape.layers }

  // MARK: Where tensors lie

  /// Activations of a slot, [rows, width].
  func act(_ slot: PassSlot, _ width: Int, rows: Int? = nil) throws(ReFTError) -> DevicePointer {
    try memory.bytes(slot, (rows ?? self.rows) * width * operations.actSize)
  }

  /// Float32 numbers of a slot.
  func floats(_ slot: PassSlot, _ width: Int, rows: Int? = nil) throws(ReFTError) -> DevicePointer {
    try memory.bytes(slot, (rows ?? self.rows) * width * 4)
  }

  /// Activations that a block keeps, where its way back will come.
  func act(_ slot: KeptSlot, _ block: Int, _ width: Int) throws(ReFTError) -> DevicePointer {
    try memory.bytes(slot, block: keeps(block) ? block : -1, rows * width * operations.actSize)
  }

  /// Float32 numbers that a block keeps.
  func floats(_ slot: KeptSlot, _ block: Int, _ width: Int) throws(ReFTError) -> DevicePointer {
    try memory.bytes(slot, block: keeps(block) ? block : -1, rows * width * 4)
  }

  /// The residual stream entering a block, or leaving the last one, float32.
  func stream(_ block: Int) throws(ReFTError) -> DevicePointer {
    if isInPlace { return try floats(.streams0, shape.hiddenSize) }
    if keeps(block) { return try floats(.input, block, shape.hiddenSize) }
    return try floats(block % 2 == 0 ? .streams0 : .streams1, shape.hiddenSize)
  }

  /// The residual stream between a block's branches, float32.
  func middle(_ block: Int) throws(ReFTError) -> DevicePointer {
    isInPlace ? try stream(block) : try floats(.middle, block, shape.hiddenSize)
  }

  /// d loss / d residual stream, float32.
  func gradient() throws(ReFTError) -> DevicePointer { try floats(.gradient, shape.hiddenSize) }

  /// The same as activations, as products read it.
  func roundedGradient() throws(ReFTError) -> DevicePointer {
    try act(.roundedGradient, shape.hiddenSize)
  }

  /// The spans of the pass's rows for a block's attention.
  ///
  /// Those of all blocks are copied at once, since only the addresses of keys differ.
  func spans(_ block: Int) throws(ReFTError) -> DevicePointer {
    let size = layout.spans.count * MemoryLayout<AttentionSpan>.stride
    if let spanLists { return spanLists.advanced(byBytes: block * size) }
    var list: [AttentionSpan] = []
    list.reserveCapacity(layout.spans.count * shape.layers)
    for block in 0..<shape.layers {
      let rows = try act(.queryKeyValue, block, headsWidth)
      for (index, span) in layout.spans.enumerated() {
        list.append(entry(span, index, block, rows))
      }
    }
    let place = try lists.put(list)
    spanLists = place
    return place.advanced(byBytes: block * size)
  }

  private func entry(
    _ span: RowSpan,
    _ index: Int,
    _ block: Int,
    _ rows: DevicePointer
  ) -> AttentionSpan {
    let size = operations.actSize
    if let caches {
      let place = caches.place(sequence: index, block: block)
      return AttentionSpan(
        start: Int32(span.start),
        count: Int32(span.count),
        position: Int32(span.position),
        prefix: 0,
        keys: place.keys.address,
        values: place.values.address,
        keyStride: Int32(shape.keyValueWidth),
        keyStart: 0
      )
    }
    let keys = rows.advanced(byBytes: shape.queryWidth * size)
    return AttentionSpan(
      start: Int32(span.start),
      count: Int32(span.count),
      position: Int32(span.position),
      prefix: Int32(span.position),
      keys: keys.address,
      values: keys.advanced(byBytes: shape.keyValueWidth * size).address,
      keyStride: Int32(headsWidth),
      keyStart: Int32(span.start)
    )
  }

  /// Zeros, one for each key-value head of the few rows of a step; kernels leave them zeros.
  func counts() throws(ReFTError) -> DevicePointer {
    if let countMemory { return countMemory.pointer }
    let heads = weights.blocks.map(\.plan.attention.keyValueHeads).max() ?? 1
    let bytes = Operations.mostFewRows * heads * 4
    let memory = try device.allocate(bytes, for: "counts of a decode step")
    try device.zero(memory.pointer, bytes)
    countMemory = memory
    return memory.pointer
  }

  // MARK: Begin and end

  /// The embeddings of the rows, into the stream entering the first block.
  func embed() throws(ReFTError) {
    let out = try stream(0)
    try operations.embed(
      rows: rows,
      width: shape.hiddenSize,
      ids: ids,
      positions: positions,
      types: types,
      weights.embedding,
      stream: out
    )
    if let norm = weights.embedding.norm {
      try operations.normFloat(rows: rows, norm, out, to: out)
    }
  }
}
