// SPDX-License-Identifier: Apache-2.0
// Steps that decode one token of each of some sequences, recorded once and replayed.

import ReFTModel
import ReFTTensor

/// The recorded step of so many sequences.
final class DecodeGraph {
  /// What a step reads that changes from one to the next: ids, positions, addresses of caches.
  struct Inputs {
    let pinned: PinnedMemory
    let memory: DeviceMemory
    let count: Int
    let layers: Int

    var idBytes: Int { count * 4 }
    /// Ids, positions, sequences, rows; padded so that addresses are aligned.
    var tableOffset: Int { (4 * idBytes + 15) / 16 * 16 }
    var byteCount: Int { tableOffset + 2 * layers * count * 8 }

    func place(_ list: Int) -> DevicePointer { memory.pointer.advanced(byBytes: list * idBytes) }
    var table: DevicePointer { memory.pointer.advanced(byBytes: tableOffset) }
  }

  let inputs: Inputs
  fileprivate var graph: CUDAGraph?
  fileprivate var logits = DevicePointer(address: 0)
  /// What the recording is good for: it names memory that moves.
  fileprivate var signature: [UInt64] = []

  init(count: Int, layers: Int, _ device: CUDADevice) throws(ReFTError) {
    let bytes = 4 * count * 4 + 16 + 2 * layers * count * 8
    inputs = Inputs(
      pinned: try device.pinned(bytes),
      memory: try device.allocate(bytes, for: "the inputs of a decode step"),
      count: count,
      layers: layers
    )
  }
}

extension CUDARuntime {
  /// The logits, on the card, of one more token of each sequence, by a recording where there is one; edits are those that
  /// `forms` has begun with.
  func replay(
    _ sequences: [SequenceStep],
    _ caches: [DeviceCache],
    _ head: DeviceHead,
    _ editor: (any HiddenStateEditor)?
  ) throws(ReFTError) -> DevicePointer {
    let count = sequences.count
    let step = try graph(count)
    let layout = PassLayout(steps: sequences)
    let sites = editor?.sites ?? []
    _ = try weights.reserve(positions: layout.longestPosition + 1)
    try fill(step.inputs, layout, caches)
    defer { (pass.taps, pass.caches) = (nil, nil) }
    let names = try pass.beginDecode(layout, step.inputs, caches, sites: sites)
    if step.graph == nil || step.signature != names + forms.signature {
      // Once without recording, so that every kernel and buffer is there.
      step.logits = try decode(count, step.inputs, head, editor)
      let recorded = try pass.beginDecode(layout, step.inputs, caches, sites: sites)
      step.graph = try device.capture { () throws(ReFTError) in
        step.logits = try decode(count, step.inputs, head, editor)
      }
      step.signature = recorded + forms.signature
    }
    if let graph = step.graph { try device.launch(graph) }
    return step.logits
  }

  private func graph(_ count: Int) throws(ReFTError) -> DecodeGraph {
    if let known = graphs[count] { return known }
    let step = try DecodeGraph(count: count, layers: model.configuration.layers, device)
    graphs[count] = step
    return step
  }

  private func fill(
    _ inputs: DecodeGraph.Inputs,
    _ layout: PassLayout,
    _ caches: [DeviceCache]
  ) throws(ReFTError) {
    let count = inputs.count
    let numbers = inputs.pinned.base.assumingMemoryBound(to: Int32.self)
    for row in 0..<count {
      numbers[row] = layout.ids[row]
      numbers[count + row] = layout.positions[row]
      numbers[2 * count + row] = Int32(row)
      numbers[3 * count + row] = Int32(row)
    }
    let table = (inputs.pinned.base + inputs.tableOffset).assumingMemoryBound(to: UInt64.self)
    for (place, address) in DeviceCaches.addresses(caches, layers: inputs.layers).enumerated() {
      table[place] = address
    }
    try device.copyIn(inputs.pinned.base, inputs.byteCount, to: inputs.memory.pointer)
  }

  private func decode(
    _ count: Int,
    _ inputs: DecodeGraph.Inputs,
    _ head: DeviceHead,
    _ editor: (any HiddenStateEditor)?
  ) throws(ReFTError) -> DevicePointer {
    pass.taps = editor.map { DeviceTaps($0, pass, exchange, forms: forms) }
    do {
      try pass.embed()
      try forward(0..<model.configuration.layers)
      return try logits(count, pick: inputs.place(3), head)
    } catch let error as ReFTError {
      throw error
    } catch {
      // Edits in their device form throw nothing else.
      throw ReFTError(.internalFault, "\(error)", cause: error)
    }
  }
}
