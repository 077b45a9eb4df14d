// SPDX-License-Identifier: Apache-2.0
// Runs device forms on a card, in memory whose surroundings are watched.

import ReFTCUDA
import ReFTModel
import ReFTTensor

/// A card with what the rules need of it.
final class DeviceBench {
  private let device: CUDADevice
  private let runner: DeviceEditRunner
  var random: BenchRandom

  init(_ device: CUDADevice, seed: UInt64) {
    self.device = device
    runner = DeviceEditRunner(device)
    random = BenchRandom(seed: seed)
  }

  /// Runs the kernels of a case, in memory that holds `fill` where a call must not read before it
  /// writes; throws a breach when the text does not compile or a launch fails.
  func run(
    _ program: DeviceProgram,
    _ one: DeviceCase,
    _ inputs: DeviceInputs,
    isTraining: Bool,
    backward: Bool,
    fill: Float = .nan
  ) throws -> DeviceOutputs {
    do throws(ReFTError) {
      return try perform(program, one, inputs, isTraining, backward, fill)
    } catch {
      throw Breach("The device form of \(one) does not run: \(error.message).")
    }
  }

  private func perform(
    _ program: DeviceProgram,
    _ one: DeviceCase,
    _ inputs: DeviceInputs,
    _ isTraining: Bool,
    _ backward: Bool,
    _ fill: Float
  ) throws(ReFTError) -> DeviceOutputs {
    let edit = try runner.prepare(program)
    let layout = ParameterLayout(inputs.parameters)
    let count = inputs.x.count
    func empty(_ count: Int, _ name: String) throws(ReFTError) -> WatchedMemory {
      try WatchedMemory([Float](repeating: fill, count: count), name, device)
    }
    let x = try WatchedMemory(inputs.x, "x", device)
    let source = try WatchedMemory(inputs.source ?? [], "source", device)
    let dy = try WatchedMemory(inputs.dy, "dy", device)
    let parameters = try WatchedMemory(layout.flat(inputs.parameters), "parameters", device)
    let (y, dx) = (try empty(count, "y"), try empty(count, "dx"))
    let saved = try empty(program.savedCount(rows: one.rows), "saved")
    let scratch = try empty(program.scratchCount(rows: one.rows), "scratch")
    let gradients = try WatchedMemory(layout.flat(inputs.gradients), "gradients", device)
    let places = try WatchedMemory(Self.origins(rows: one.rows), "the rows' places", device)
    var call = DeviceEditCall(
      rows: one.rows,
      width: one.width,
      isTraining: isTraining,
      x: x.pointer,
      saved: saved.pointer,
      scratch: scratch.pointer,
      parameters: parameters.pointer,
      parameterOffsets: layout.offsets
    )
    if inputs.source != nil { call.source = source.pointer }
    if program.needsOrigins { call.origins = places.pointer }
    call.y = y.pointer
    try runner.forward(edit, call)
    var result = DeviceOutputs(y: try y.read())
    if backward {
      (call.y, call.dy, call.dx) = (nil, dy.pointer, dx.pointer)
      call.gradients = gradients.pointer
      try scratch.write([Float](repeating: fill, count: program.scratchCount(rows: one.rows)))
      try runner.backward(edit, call)
      result.dx = try dx.read()
      result.gradients = layout.parts(try gradients.read())
    }
    for memory in [y, dx, saved, scratch, gradients] where result.strayWrite == nil {
      if try !memory.isWhole() { result.strayWrite = "outside \(memory.name)" }
    }
    for memory in [x, source, dy, parameters, places] where result.strayWrite == nil {
      let (isWhole, isUnchanged) = (try memory.isWhole(), try memory.isUnchanged())
      guard !isWhole || !isUnchanged else { continue }
      result.strayWrite = "to \(memory.name), which it may only read"
    }
    return result
  }

  /// The lists of `RowPlaces` as the kernels get them, bit by bit.
  private static func origins(rows: Int) -> [Float] {
    (0..<6).flatMap { list in
      (0..<rows).map {
        Float(bitPattern: UInt32(bitPattern: RowPlaces.lists[list].value($0)))
      }
    }
  }
}

/// Parameters one after the other, each at a multiple of 16 floats, as an adapter has them.
private struct ParameterLayout {
  let offsets: [Int]
  private let counts: [Int]
  private let total: Int

  init(_ parameters: [[Float]]) {
    counts = parameters.map(\.count)
    var (offsets, end) = ([Int](), 0)
    for count in counts {
      offsets.append(end)
      end += (count + 15) & ~15
    }
    (self.offsets, total) = (offsets, end)
  }

  func flat(_ parameters: [[Float]]) -> [Float] {
    var result = [Float](repeating: 0, count: total)
    for (offset, values) in zip(offsets, parameters) {
      result.replaceSubrange(offset..<offset + values.count, with: values)
    }
    return result
  }

  func parts(_ flat: [Float]) -> [[Float]] {
    zip(offsets, counts).map { Array(flat[$0..<$0 + $1]) }
  }
}

/// Floats on the card between two margins that nobody may touch.
private final class WatchedMemory {
  let name: String
  private let device: CUDADevice
  private let memory: DeviceMemory
  private let initial: [Float]
  private static let margin = 64
  /// No number that a kernel would write.
  private static let mark = Float(bitPattern: 0x7FA5_A5A5)

  init(_ values: [Float], _ name: String, _ device: CUDADevice) throws(ReFTError) {
    (self.name, self.device, initial) = (name, device, values)
    let count = values.count + 2 * Self.margin
    memory = try device.allocate(4 * count, for: "\(name) of the check of a device form")
    let edge = [Float](repeating: Self.mark, count: Self.margin)
    try copyIn(edge + values + edge, to: memory.pointer)
  }

  var pointer: DevicePointer { memory.pointer.advanced(byBytes: 4 * Self.margin) }

  func write(_ values: [Float]) throws(ReFTError) { try copyIn(values, to: pointer) }

  func read() throws(ReFTError) -> [Float] {
    Array(try whole()[Self.margin..<Self.margin + initial.count])
  }

  /// Whether both margins are as they were.
  func isWhole() throws(ReFTError) -> Bool {
    let all = try whole()
    return (all[..<Self.margin] + all[(Self.margin + initial.count)...])
      .allSatisfy { $0.bitPattern == Self.mark.bitPattern }
  }

  func isUnchanged() throws(ReFTError) -> Bool { firstDifference(try read(), initial) == nil }

  private func whole() throws(ReFTError) -> [Float] {
    let count = initial.count + 2 * Self.margin
    let buffer = FloatBuffer(count: count)
    try device.copyOut(memory.pointer, 4 * count, to: UnsafeMutableRawPointer(buffer.base))
    try device.synchronise()
    return Array(buffer.values)
  }

  private func copyIn(_ values: [Float], to pointer: DevicePointer) throws(ReFTError) {
    guard !values.isEmpty else { return }
    let buffer = FloatBuffer(values)
    try device.copyIn(UnsafeRawPointer(buffer.base), 4 * values.count, to: pointer)
    try device.synchronise()
  }
}
