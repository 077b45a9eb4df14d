// SPDX-License-Identifier: Apache-2.0
// The keys and values of sequences on the card.

import ReFTModel
import ReFTTensor

/// Keys and values of all blocks for the tokens of one sequence, [block][keys, values][token, width].
///
/// Memory comes as tokens do, twice as much each time, up to the capacity.
final class DeviceCache: SequenceCache {
  let capacity: Int
  fileprivate(set) var count = 0
  private let pass: DevicePass
  private var memory: DeviceMemory?
  /// For how many tokens there is room.
  private var room = 0

  private static let smallestRoom = 256

  init(_ pass: DevicePass, capacity: Int) {
    (self.pass, self.capacity) = (pass, capacity)
  }

  /// Forgets the tokens from `count` on.
  func truncate(to count: Int) { self.count = min(self.count, max(0, count)) }

  /// Makes room for `more` tokens behind those that are held.
  ///
  /// - Throws: what the card reports; the cache is then as it was.
  func reserve(_ more: Int) throws(ReFTError) {
    let wanted = count + more
    guard wanted > room else { return }
    let grown = min(capacity, max(wanted, 2 * room, Self.smallestRoom))
    let (shape, device) = (pass.shape, pass.device)
    let row = shape.keyValueWidth * pass.operations.actSize
    let lists = 2 * shape.layers
    let next = try device.allocate(
      lists * grown * row,
      for: "the keys and values of \(grown) tokens"
    )
    if let memory, count > 0 {
      for list in 0..<lists {
        try device.copy(
          memory.pointer.advanced(byBytes: list * room * row),
          to: next.pointer.advanced(byBytes: list * grown * row),
          count * row
        )
      }
    }
    (memory, room) = (next, grown)
  }

  func settle(count: Int) { self.count = count }

  /// Where the keys and values of a block begin.
  func place(block: Int) -> (keys: DevicePointer, values: DevicePointer) {
    let bytes = room * pass.shape.keyValueWidth * pass.operations.actSize
    let base = memory?.pointer ?? DevicePointer(address: 0)
    return (
      base.advanced(byBytes: 2 * block * bytes), base.advanced(byBytes: (2 * block + 1) * bytes)
    )
  }
}

/// The caches of the sequences of one step.
final class DeviceCaches {
  let caches: [DeviceCache]
  /// For each row of the step its sequence and position.
  private let sequenceOfRow: DevicePointer
  private let positionOfRow: DevicePointer
  /// For each block the addresses of all sequences' keys, then of all their values.
  private let table: DevicePointer

  /// Copies the addresses to the card.
  ///
  /// - Throws: what the card reports.
  init(_ caches: [DeviceCache], _ pass: DevicePass) throws(ReFTError) {
    self.caches = caches
    var sequences: [Int32] = []
    for (index, span) in pass.layout.spans.enumerated() {
      sequences += [Int32](repeating: Int32(index), count: span.count)
    }
    sequenceOfRow = try pass.lists.put(sequences)
    positionOfRow = pass.positions
    table = try pass.lists.put(Self.addresses(caches, layers: pass.shape.layers))
  }

  /// Takes lists that lie on the card already.
  init(
    _ caches: [DeviceCache],
    sequenceOfRow: DevicePointer,
    positionOfRow: DevicePointer,
    table: DevicePointer
  ) {
    (self.caches, self.table) = (caches, table)
    (self.sequenceOfRow, self.positionOfRow) = (sequenceOfRow, positionOfRow)
  }

  static func addresses(_ caches: [DeviceCache], layers: Int) -> [UInt64] {
    var list: [UInt64] = []
    list.reserveCapacity(2 * layers * caches.count)
    for block in 0..<layers {
      list += caches.map { $0.place(block: block).keys.address }
      list += caches.map { $0.place(block: block).values.address }
    }
    return list
  }

  func place(sequence: Int, block: Int) -> (keys: DevicePointer, values: DevicePointer) {
    caches[sequence].place(block: block)
  }

  private func lists(_ block: Int) -> (keys: DevicePointer, values: DevicePointer) {
    let keys = table.advanced(byBytes: 2 * block * caches.count * 8)
    return (keys, keys.advanced(byBytes: caches.count * 8))
  }

  /// Appends the rows' keys and values.
  func store(_ pass: DevicePass, _ block: Int, _ rows: DevicePointer) throws(ReFTError) {
    let (operations, shape) = (pass.operations, pass.shape)
    let (keys, values) = lists(block)
    try operations.launch(
      try operations.kernel("store_cache", .cache),
      grid: operations.runs(pass.rows * shape.keyValueWidth * 2),
      pass.rows,
      rows,
      pass.headsWidth,
      shape.queryWidth,
      shape.keyValueWidth,
      sequenceOfRow,
      positionOfRow,
      keys,
      values
    )
  }

  /// How many parts a decoded token's keys are read in.
  ///
  /// As many as give each multiprocessor two blocks. Positions do not count, so that a step can be
  /// recorded once.
  private func splits(_ pass: DevicePass, _ plan: ModelPlan.Attention) -> Int {
    let blocks = max(1, plan.keyValueHeads * caches.count)
    return max(1, min(32, 2 * pass.device.multiprocessors / blocks))
  }

  /// Turns the queries and keys of one decoded token of each sequence, appends keys and values, and
  /// weighs the values.
  ///
  /// - Throws: what the card reports.
  func attend(
    _ pass: DevicePass,
    _ block: Int,
    _ rows: DevicePointer,
    to out: DevicePointer
  ) throws(ReFTError) {
    let weights = pass.weights.blocks[block]
    let plan = weights.plan.attention
    let (keys, values) = lists(block)
    let splits = splits(pass, plan)
    let parts = try pass.memory.bytes(
      .decodeParts,
      caches.count * plan.heads * splits * (plan.headSize + 2) * 4
    )
    let rotation = weights.rotation
    let call = DecodeCall(
      rows: rows.address,
      stride: Int32(pass.headsWidth),
      heads: Int32(plan.heads),
      keyValueHeads: Int32(plan.keyValueHeads),
      headSize: Int32(plan.headSize),
      scale: Float(plan.scale),
      cap: Float(plan.softCap ?? 0),
      window: Int32(MaskArguments(plan.mask).window),
      splits: Int32(splits),
      keys: keys.address,
      values: values.address,
      positions: positionOfRow.address,
      angles: rotation?.pointer?.address ?? 0,
      width: Int32(rotation?.width ?? 0),
      halves: rotation?.isHalves == true ? 1 : 0,
      parts: parts.address,
      done: try pass.counts().address,
      out: out.address
    )
    try pass.operations.attentionDecode(plan, sequences: caches.count, call)
  }
}
