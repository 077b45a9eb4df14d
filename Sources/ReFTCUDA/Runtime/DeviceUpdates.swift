// SPDX-License-Identifier: Apache-2.0
// Low-rank updates on the card, y += s B (A m(x)), forward and back, by the device's products. The rows of
// several adapters are runs of neighbours; a token that nobody updates is in none.

import ReFTModel
import ReFTTensor

/// The updates of passes, with their matrices and gradients on the card.
final class DeviceUpdates {
  private let operations: Operations
  private var device: CUDADevice { operations.device }
  /// Those of the last pass; a session keeps its own while its steps go on.
  private var updates: LowRankUpdates?
  private var places: [ObjectIdentifier: Place] = [:]
  /// A and s B of each update, one behind the other, activations.
  private var matrices = GrowingMemory()
  /// Their gradients, float32.
  private var slopes = GrowingMemory()
  private var count = 0
  private var raw = GrowingMemory()
  private var dropped = GrowingMemory()
  private var rows: [ObjectIdentifier: Rows] = [:]

  /// Where the numbers of an update lie.
  private final class Place {
    let update: LowRankUpdate
    /// The first number of A in `matrices` and in `slopes`.
    let first: Int
    /// A m(x) of each row, kept for the way back; then its gradient.
    var inner = GrowingMemory()
    var innerGradient = GrowingMemory()

    init(_ update: LowRankUpdate, first: Int) { (self.update, self.first) = (update, first) }
  }

  /// The rows of some tokens in this pass.
  private struct Rows {
    /// Runs of neighbours, and how many rows the runs before have.
    var runs: [(rows: Range<Int>, place: Int)] = []
    var count = 0
    /// Rows, sequences and positions on the card, where dropout asks for them.
    var lists: (rows: DevicePointer, examples: DevicePointer, positions: DevicePointer)?
  }

  init(_ operations: Operations) { self.operations = operations }

  /// Brings the matrices of a pass to the card, unless they are there.
  ///
  /// - Throws: what the card reports.
  func begin(_ new: LowRankUpdates?, _ pass: DevicePass) throws(ReFTError) {
    rows.removeAll(keepingCapacity: true)
    guard let new else { return updates = nil }
    for update in new.all where rows[ObjectIdentifier(update.tokens)] == nil {
      rows[ObjectIdentifier(update.tokens)] = try find(
        update.tokens,
        isDropped: new.all.contains { $0.tokens === update.tokens && $0.dropout != nil },
        pass
      )
    }
    let trains = new.all.contains(where: \.isTraining)
    if updates !== new || trains { try load(new) }
    updates = new
    guard trains else { return }
    let target = try slopes.bytes(count * 4, device, for: "gradients of a LoRA")
    try device.zero(target, count * 4)
  }

  private func load(_ new: LowRankUpdates) throws(ReFTError) {
    places.removeAll(keepingCapacity: true)
    count = 0
    for update in new.all {
      places[ObjectIdentifier(update)] = Place(update, first: count)
      count += update.matrixCount
    }
    let host = FloatBuffer(count: count)
    for place in places.values { place.update.pack(into: host.base + place.first) }
    let floats = try raw.bytes(count * 4, device, for: "the matrices of a LoRA")
    try device.copyIn(host.base, count * 4, to: floats)
    let size = operations.actSize
    let target = try matrices.bytes(count * size, device, for: "the matrices of a LoRA")
    try operations.cast(rows: 1, width: count, floats, to: target)
    try device.synchronise()
  }

  private func find(
    _ tokens: UpdatedTokens,
    isDropped: Bool,
    _ pass: DevicePass
  ) throws(ReFTError) -> Rows {
    let list = tokens.rows(in: pass.layout)
    var result = Rows()
    for row in list.map({ Int($0.row) }) {
      if let last = result.runs.last, last.rows.upperBound == row {
        result.runs[result.runs.count - 1].rows = last.rows.lowerBound..<row + 1
      } else {
        result.runs.append((row..<row + 1, result.count))
      }
      result.count += 1
    }
    if isDropped {
      result.lists = (
        try pass.lists.put(list.map(\.row)), try pass.lists.put(list.map(\.example)),
        try pass.lists.put(list.map(\.position))
      )
    }
    return result
  }

  /// Adds the gradients of all matrices to where the host keeps them.
  ///
  /// - Throws: what the card reports.
  func end() throws(ReFTError) {
    guard let updates, updates.all.contains(where: \.isTraining), let source = slopes.pointer
    else { return }
    let host = FloatBuffer(count: count)
    try device.copyOut(source, count * 4, to: UnsafeMutableRawPointer(host.base))
    try device.synchronise()
    for place in places.values { place.update.addGradients(from: host.base + place.first) }
  }

  // MARK: Products

  /// How many products have some.
  var productCount: Int { updates?.productCount ?? 0 }

  private struct Work {
    let place: Place
    let rows: Rows
    let a: DevicePointer
    let b: DevicePointer
    var update: LowRankUpdate { place.update }
  }

  private func works(_ product: BlockProduct, _ block: Int) -> [Work] {
    guard let base = matrices.pointer else { return [] }
    return (updates?.of(product, block: block) ?? []).compactMap { update in
      guard let place = places[ObjectIdentifier(update)],
        let rows = rows[ObjectIdentifier(update.tokens)], rows.count > 0
      else { return nil }
      let a = base.advanced(byBytes: place.first * operations.actSize)
      let b = a.advanced(byBytes: update.rank * update.inputs * operations.actSize)
      return Work(place: place, rows: rows, a: a, b: b)
    }
  }

  /// y += s B (A m(x)) for the updates of a product.
  ///
  /// - Parameters:
  ///   - product: which of the block.
  ///   - block: the block.
  ///   - pass: the rows.
  ///   - x: what the product reads, activations.
  ///   - y: what it made.
  ///   - isFloat: whether y is float32, not activations.
  /// - Throws: what the card reports.
  func add(
    _ product: BlockProduct,
    _ block: Int,
    _ pass: DevicePass,
    x: DevicePointer,
    y: DevicePointer,
    isFloat: Bool
  ) throws(ReFTError) {
    let (size, works) = (operations.actSize, works(product, block))
    guard let inputs = works.first?.update.inputs else { return }
    if pass.keeps(block) {
      let kept = try pass.act(KeptSlot.source(of: product), block, inputs)
      try device.copy(x, to: kept, pass.rows * inputs * size)
    }
    let stride = pass.outputWidth(of: product)
    for work in works {
      let update = work.update
      let u = try inner(work)
      let from = try source(work, x)
      let column = pass.shape.columns(of: update.projection).lowerBound
      for run in work.rows.runs {
        let own = u.advanced(byBytes: run.place * update.rank * size)
        try multiply(
          run.rows.count,
          from.at(run, inputs, size),
          (work.a, update.rank, inputs),
          to: (own, update.rank, false)
        )
        let place = (run.rows.lowerBound * stride + column) * (isFloat ? 4 : size)
        try multiply(
          run.rows.count,
          own,
          (work.b, update.outputs, update.rank),
          to: (y.advanced(byBytes: place), stride, isFloat),
          accumulates: true
        )
      }
    }
  }

  /// Adds the gradients of A and B of a product's updates, given that of y, activations.
  ///
  /// - Throws: what the card reports.
  func differentiate(
    _ product: BlockProduct,
    _ block: Int,
    _ pass: DevicePass,
    dy: DevicePointer
  ) throws(ReFTError) {
    let (size, works) = (operations.actSize, works(product, block))
    guard let inputs = works.first?.update.inputs, let slopes = slopes.pointer else { return }
    let x = try pass.act(KeptSlot.source(of: product), block, inputs)
    let stride = pass.outputWidth(of: product)
    for work in works {
      let update = work.update
      let u = try inner(work)
      let v = try innerGradient(work)
      let from = try source(work, x)
      let column = pass.shape.columns(of: update.projection).lowerBound
      let dA = slopes.advanced(byBytes: work.place.first * 4)
      let dB = dA.advanced(byBytes: update.rank * inputs * 4)
      for run in work.rows.runs {
        let slope = dy.advanced(byBytes: (run.rows.lowerBound * stride + column) * size)
        let (ownU, ownV) = (
          u.advanced(byBytes: run.place * update.rank * size),
          v.advanced(byBytes: run.place * update.rank * size)
        )
        try goBack(run.rows.count, (slope, stride), (work.b, update.outputs, update.rank), to: ownV)
        try outer((slope, stride, update.outputs), (ownU, update.rank), run.rows.count, to: dB)
        let input = from.at(run, inputs, size)
        try outer((ownV, update.rank, update.rank), (input, inputs), run.rows.count, to: dA)
      }
    }
    pass.taps?.visitProduct()
  }

  /// dx += m(Aᵀ v) for the updates of a product, after `differentiate`.
  ///
  /// - Throws: what the card reports.
  func addInputGradient(
    _ product: BlockProduct,
    _ block: Int,
    to dx: DevicePointer
  ) throws(ReFTError) {
    let size = operations.actSize
    for work in works(product, block) {
      let (update, v) = (work.update, try innerGradient(work))
      guard let dropout = update.dropout, let lists = work.rows.lists else {
        for run in work.rows.runs {
          try goBack(
            run.rows.count,
            (v.advanced(byBytes: run.place * update.rank * size), update.rank),
            (work.a, update.rank, update.inputs),
            to: dx.advanced(byBytes: run.rows.lowerBound * update.inputs * size),
            accumulates: true
          )
        }
        continue
      }
      let bytes = work.rows.count * update.inputs * size
      let whole = try dropped.bytes(bytes, device, for: "rows without what dropout leaves out")
      let matrix = (work.a, update.rank, update.inputs)
      try goBack(work.rows.count, (v, update.rank), matrix, to: whole)
      try drop(dropout, work.rows.count, update.inputs, lists, adds: true, whole, to: dx)
    }
  }

  // MARK: Parts

  private func inner(_ work: Work) throws(ReFTError) -> DevicePointer {
    let bytes = work.rows.count * work.update.rank * operations.actSize
    return try work.place.inner.bytes(bytes, device, for: "what a LoRA keeps")
  }

  private func innerGradient(_ work: Work) throws(ReFTError) -> DevicePointer {
    let bytes = work.rows.count * work.update.rank * operations.actSize
    return try work.place.innerGradient.bytes(bytes, device, for: "what a LoRA keeps")
  }

  /// What A reads: rows of x where they lie, or without what dropout leaves out, one after the other.
  private struct Source {
    var base: DevicePointer
    var isPacked: Bool

    func at(_ run: (rows: Range<Int>, place: Int), _ width: Int, _ size: Int) -> DevicePointer {
      base.advanced(byBytes: (isPacked ? run.place : run.rows.lowerBound) * width * size)
    }
  }

  private func source(_ work: Work, _ x: DevicePointer) throws(ReFTError) -> Source {
    guard let dropout = work.update.dropout, let lists = work.rows.lists else {
      return Source(base: x, isPacked: false)
    }
    let bytes = work.rows.count * work.update.inputs * operations.actSize
    let own = try dropped.bytes(bytes, device, for: "rows without what dropout leaves out")
    try drop(dropout, work.rows.count, work.update.inputs, lists, adds: false, x, to: own)
    return Source(base: own, isPacked: true)
  }

  private func drop(
    _ dropout: LowRankUpdate.Dropout,
    _ count: Int,
    _ width: Int,
    _ lists: (rows: DevicePointer, examples: DevicePointer, positions: DevicePointer),
    adds: Bool,
    _ x: DevicePointer,
    to y: DevicePointer
  ) throws(ReFTError) {
    try operations.launch(
      try operations.kernel("drop", .lora),
      grid: operations.runs(count * width),
      count,
      width,
      lists.rows,
      lists.examples,
      lists.positions,
      LongCount(value: Int(bitPattern: UInt(dropout.key))),
      dropout.rate,
      adds ? 1 : 0,
      x,
      y
    )
  }

  /// y (+)= x Wᵀ.
  private func multiply(
    _ count: Int,
    _ x: DevicePointer,
    _ weight: (base: DevicePointer, rows: Int, columns: Int),
    to y: (base: DevicePointer, stride: Int, isFloat: Bool),
    accumulates: Bool = false
  ) throws(ReFTError) {
    try device.gemm(
      GEMM(
        rows: count,
        n: weight.rows,
        k: weight.columns,
        x: x,
        weight: weight.base,
        y: y.base,
        yStride: y.stride,
        input: operations.format,
        output: y.isFloat ? .float32 : operations.format,
        accumulates: accumulates,
        exact: operations.format == .float32
      )
    )
  }

  /// dx (+)= dy W.
  private func goBack(
    _ count: Int,
    _ dy: (base: DevicePointer, stride: Int),
    _ weight: (base: DevicePointer, rows: Int, columns: Int),
    to dx: DevicePointer,
    accumulates: Bool = false
  ) throws(ReFTError) {
    try device.gemm(
      GEMM(
        rows: count,
        n: weight.rows,
        k: weight.columns,
        x: dy.base,
        xStride: dy.stride,
        weight: weight.base,
        y: dx,
        transposesWeight: false,
        input: operations.format,
        output: operations.format,
        accumulates: accumulates,
        exact: operations.format == .float32
      )
    )
  }

  /// sum [width, columns of x] += dyᵀ x over some rows, float32.
  private func outer(
    _ dy: (base: DevicePointer, stride: Int, width: Int),
    _ x: (base: DevicePointer, width: Int),
    _ count: Int,
    to sum: DevicePointer
  ) throws(ReFTError) {
    try device.gemm(
      GEMM(
        rows: dy.width,
        n: count,
        k: x.width,
        x: dy.base,
        xStride: dy.stride,
        weight: x.base,
        y: sum,
        transposesWeight: false,
        transposesInput: true,
        input: operations.format,
        output: .float32,
        accumulates: true,
        exact: operations.format == .float32
      )
    )
  }
}

extension KeptSlot {
  /// What a product read, kept for the gradients of its updates.
  static func source(of product: BlockProduct) -> KeptSlot {
    switch product {
    case .queryKeyValue: .queryKeyValueSource
    case .attentionOutput: .attentionOutputSource
    case .mlpInput: .mlpInputSource
    case .down: .downSource
    }
  }
}

extension DevicePass {
  /// Numbers in a row that a product makes.
  func outputWidth(of product: BlockProduct) -> Int {
    switch product {
    case .queryKeyValue: headsWidth
    case .attentionOutput, .down: shape.hiddenSize
    case .mlpInput: (shape.hasGate ? 2 : 1) * shape.feedForwardSize
    }
  }
}
