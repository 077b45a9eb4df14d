// SPDX-License-Identifier: Apache-2.0
// Edits whose plugins offer kernels: they run on the card, without a way to the host. What a kernel may
// do is in docs/abi.md, "Device forms".

import ReFTModel
import ReFTTensor

/// Names an edit of a pass.
struct EditKey: Hashable {
  var site: Site
  /// Its place among the edits of the site.
  var index: Int
}

/// The device forms of the edits of passes, with parameters and gradients on the card.
final class DeviceForms {
  private let device: CUDADevice
  private let runner: DeviceEditRunner
  private var stores: [ObjectIdentifier: DeviceStore] = [:]
  private var forms: [EditKey: DeviceForm] = [:]
  /// Memory of forms that other passes left.
  private var spare: [EditKey: FormMemory] = [:]
  /// For each form, in the order in which they were made, whether its rows, and then its gradients,
  /// were not finite.
  private var faults = GrowingMemory()
  private var order: [EditKey] = []

  init(_ device: CUDADevice) {
    self.device = device
    runner = DeviceEditRunner(device)
  }

  /// How many edits of the pass run on the card.
  var count: Int { forms.count }

  /// Looks which edits of a pass have a device form, and brings their parameters up to date.
  ///
  /// - Throws: what a plugin or the card reports.
  func begin(_ editor: (any HiddenStateEditor)?) throws {
    for (key, form) in forms { spare[key] = form.memory }
    forms.removeAll(keepingCapacity: true)
    order.removeAll(keepingCapacity: true)
    guard let editor else { return }
    for site in editor.sites.sorted(by: Self.isBefore) {
      for (index, edit) in editor.edits(at: site).enumerated() {
        guard let edit = edit as? any DeviceRowEdit, !edit.needsSource,
          let program = try edit.deviceProgram()
        else { continue }
        let key = EditKey(site: site, index: index)
        order.append(key)
        let store = try self.store(edit)
        forms[key] = DeviceForm(
          edit,
          try runner.prepare(program),
          program,
          runner,
          store,
          spare[key] ?? FormMemory()
        )
      }
    }
    let used = Set(forms.values.map { ObjectIdentifier($0.store.parameters) })
    stores = stores.filter { used.contains($0.key) }
    for store in stores.values { try store.update() }
    try placeFaults()
  }

  /// An order of sites that is the same in every pass.
  private static func isBefore(_ one: Site, _ other: Site) -> Bool {
    (one.block, one.component.rawValue) < (other.block, other.component.rawValue)
  }

  /// Whether all edits of a decode step run on the card and edit each of its rows, wherever these come
  /// from: so that the step can be recorded.
  func areAlike(_ editor: (any HiddenStateEditor)?, rows: Int) -> Bool {
    guard let editor else { return true }
    return editor.sites.allSatisfy { site in
      editor.edits(at: site).enumerated().allSatisfy { index, edit in
        guard let form = forms[EditKey(site: site, index: index)] else { return false }
        return !form.needsOrigins && edit.tokens.elementsEqual(0..<Int32(rows))
      }
    }
  }

  /// What a recording of the present edits depends on.
  var signature: [UInt64] { order.flatMap { key in forms[key]?.signature(key) ?? [] } }

  private func placeFaults() throws(ReFTError) {
    guard !order.isEmpty else { return }
    let base = try faults.bytes(8 * order.count, device, for: "faults of edits")
    try device.zero(base, 8 * order.count)
    for (index, key) in order.enumerated() {
      forms[key]?.fault = base.advanced(byBytes: 8 * index)
    }
  }

  /// Waits for the pass, and sees whether all that its edits made is finite.
  ///
  /// - Throws: `misbehaved` with the plugin and the site where it is not.
  func check() throws(ReFTError) {
    guard !order.isEmpty, let base = faults.pointer else { return }
    var found = [Int32](repeating: 0, count: 2 * order.count)
    var thrown: ReFTError?
    found.withUnsafeMutableBytes { bytes in
      guard let target = bytes.baseAddress else { return }
      do throws(ReFTError) {
        try device.copyOut(base, bytes.count, to: target)
        try device.synchronise()
      } catch { thrown = error }
    }
    if let thrown { throw thrown }
    guard let first = found.firstIndex(where: { $0 != 0 }) else { return }
    let key = order[first / 2]
    if let form = forms[key] { throw form.notFinite(key.site, isBackward: first % 2 == 1) }
  }

  private func store(_ edit: any DeviceRowEdit) throws(ReFTError) -> DeviceStore {
    let key = ObjectIdentifier(edit.parameters)
    let store: DeviceStore
    if let known = stores[key] {
      store = known
    } else {
      store = try DeviceStore(edit.parameters, device)
      stores[key] = store
    }
    store.target = edit.gradients
    return store
  }

  /// The device form of an edit, where it has one.
  func form(of edit: any RowEdit, _ key: EditKey) -> DeviceForm? { forms[key] }

  /// Adds the gradients of all parameters to where the host keeps them.
  ///
  /// - Throws: what the card reports.
  func end() throws(ReFTError) {
    try check()
    for store in stores.values { try store.fetchGradients() }
  }
}

/// The parameters of one adapter on the card, and their gradients.
final class DeviceStore {
  let parameters: any DeviceParameters
  /// Where gradients go on the host; nil in inference.
  var target: UnsafeMutableBufferPointer<Float>?
  private let device: CUDADevice
  private let values: DeviceMemory
  private let pinned: PinnedMemory
  private var slopes: DeviceMemory?
  private var revision: Int?

  init(_ parameters: any DeviceParameters, _ device: CUDADevice) throws(ReFTError) {
    (self.parameters, self.device) = (parameters, device)
    let bytes = max(4, parameters.deviceValues.count * 4)
    values = try device.allocate(bytes, for: "the parameters of an adapter")
    pinned = try device.pinned(bytes)
  }

  var pointer: DevicePointer { values.pointer }
  var gradients: DevicePointer? { slopes?.pointer }

  /// Copies the values if somebody may have written them, and zeroes the gradients.
  ///
  /// - Throws: what the card reports.
  func update() throws(ReFTError) {
    let now = parameters.revision
    let list = parameters.deviceValues
    let bytes = list.count * 4
    if now != revision, let base = list.baseAddress {
      // What was copied from here before has arrived.
      try device.synchronise()
      pinned.base.copyMemory(from: base, byteCount: bytes)
      try device.copyIn(pinned.base, bytes, to: values.pointer)
      revision = now
    }
    guard target != nil else { return }
    if slopes == nil { slopes = try device.allocate(max(4, bytes), for: "gradients of an adapter") }
    if let slopes { try device.zero(slopes.pointer, bytes) }
  }

  func fetchGradients() throws(ReFTError) {
    guard let target, let slopes else { return }
    let bytes = target.count * 4
    try device.copyOut(slopes.pointer, bytes, to: pinned.base)
    try device.synchronise()
    let here = pinned.base.assumingMemoryBound(to: Float.self)
    for index in target.indices { target[index] += here[index] }
    self.target = nil
  }
}

/// Memory of one edit: its rows before and after, and what its kernels keep.
final class FormMemory {
  var x = GrowingMemory()
  var y = GrowingMemory()
  var saved = GrowingMemory()
  var scratch = GrowingMemory()
}

/// One edit of a pass in its device form.
final class DeviceForm {
  let memory: FormMemory
  let store: DeviceStore
  /// Becomes 1 where rows are not finite, the number behind it where gradients are not.
  var fault: DevicePointer?
  private let edit: any DeviceRowEdit
  private let prepared: PreparedEdit
  private let program: DeviceProgram
  private let runner: DeviceEditRunner
  private let offsets: [Int]

  init(
    _ edit: any DeviceRowEdit,
    _ prepared: PreparedEdit,
    _ program: DeviceProgram,
    _ runner: DeviceEditRunner,
    _ store: DeviceStore,
    _ memory: FormMemory
  ) {
    (self.edit, self.prepared, self.program) = (edit, prepared, program)
    (self.runner, self.store, self.memory) = (runner, store, memory)
    offsets = edit.parameterOffsets
  }

  /// Edits rows where they lie.
  func forward(
    _ pass: DevicePass,
    _ rows: DeviceTaps.EditedRows,
    _ hidden: DeviceRows
  ) throws {
    let call = try self.call(pass, rows, hidden)
    try pass.operations.gather(rows.count, rows.list, from: hidden, into: call.x)
    try runner.forward(prepared, call)
    let strength = edit.strength
    try pass.operations.scatter(
      rows.count,
      rows.list,
      call.y ?? call.x,
      old: strength == 1 ? nil : call.x,
      strength: strength,
      to: hidden,
      fault: fault
    )
  }

  /// Whether kernels look at where rows come from.
  var needsOrigins: Bool { program.needsOrigins }

  /// What its launches name.
  func signature(_ key: EditKey) -> [UInt64] {
    var hasher = Hasher()
    hasher.combine(key)
    hasher.combine(program)
    hasher.combine(offsets)
    hasher.combine(edit.columns)
    let places = [memory.x, memory.y, memory.saved, memory.scratch].map { $0.pointer?.address ?? 0 }
    return places + [
      store.pointer.address, fault?.address ?? 0, UInt64(edit.strength.bitPattern),
      UInt64(bitPattern: Int64(hasher.finalize())),
    ]
  }

  /// The error of numbers that are not finite.
  func notFinite(_ site: Site, isBackward: Bool) -> ReFTError {
    edit.notFinite(in: (isBackward ? "backward" : "forward") + " on the card at \(site)")
  }

  /// Turns the gradient of edited rows into that of the rows before, where they lie.
  func backward(
    _ pass: DevicePass,
    _ rows: DeviceTaps.EditedRows,
    _ gradient: DeviceRows
  ) throws {
    var call = try self.call(pass, rows, gradient)
    let width = gradient.width
    let dy = try pass.floats(.gathered, width, rows: rows.count)
    let dx = try pass.floats(.gatheredBefore, width, rows: rows.count)
    try pass.operations.gather(rows.count, rows.list, from: gradient, into: dy)
    let strength = edit.strength
    if strength != 1 {
      // The edit's own part of the gradient; the rest passes by it.
      let whole = try pass.floats(.gatheredSource, width, rows: rows.count)
      try pass.device.copy(dy, to: whole, rows.count * width * 4)
      try pass.operations.scale(rows.count * width, strength, dy)
      (call.dy, call.dx) = (dy, dx)
      try runner.backward(prepared, call)
      try pass.operations.scale(rows.count * width, 1 - strength, whole)
      try pass.operations.add(rows: rows.count, width: width, whole, to: dx)
    } else {
      (call.dy, call.dx) = (dy, dx)
      try runner.backward(prepared, call)
    }
    try pass.operations.scatter(
      rows.count,
      rows.list,
      dx,
      old: nil,
      strength: 1,
      to: gradient,
      fault: fault?.advanced(byBytes: 4)
    )
  }

  private func call(
    _ pass: DevicePass,
    _ rows: DeviceTaps.EditedRows,
    _ hidden: DeviceRows
  ) throws(ReFTError) -> DeviceEditCall {
    let (device, count) = (pass.device, rows.count)
    let bytes = count * hidden.width * 4
    var call = DeviceEditCall(
      rows: count,
      width: hidden.width,
      isTraining: edit.isTraining,
      x: try memory.x.bytes(bytes, device, for: "rows before an edit"),
      saved: try memory.saved.bytes(
        program.savedCount(rows: count) * 4,
        device,
        for: "what an edit keeps"
      ),
      scratch: try memory.scratch.bytes(
        program.scratchCount(rows: count) * 4,
        device,
        for: "what an edit works with"
      ),
      parameters: store.pointer,
      parameterOffsets: offsets
    )
    call.y = try memory.y.bytes(bytes, device, for: "rows behind an edit")
    call.gradients = store.gradients
    if program.needsOrigins { call.origins = try put(edit.origins, rows, pass) }
    return call
  }

  /// The lists of the present rows, one behind the other.
  private func put(
    _ origins: DeviceOrigins,
    _ rows: DeviceTaps.EditedRows,
    _ pass: DevicePass
  ) throws(ReFTError) -> DevicePointer {
    var list: [Int32] = []
    for source in [
      origins.examples, origins.positions, origins.lengths, origins.locations, origins.subspaces,
      origins.adapters,
    ] {
      list += rows.places.map { source[Int($0)] }
    }
    return try pass.lists.put(list)
  }
}
