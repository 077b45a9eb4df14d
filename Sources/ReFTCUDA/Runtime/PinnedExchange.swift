// SPDX-License-Identifier: Apache-2.0
// Rows on their way from the card to edits here and back. They are copied once each way: what an edit
// needs again on the way back stays where it arrived.

import ReFTModel
import ReFTTensor

/// Pinned memory in which rows are edited.
final class PinnedExchange {
  /// What lies in a piece of it.
  enum Place: Hashable {
    /// Rows that the next edit takes over.
    case rows
    /// What the layer read that made them.
    case source
    /// Edited rows.
    case output
    /// Rows of an edit with a way back.
    case kept(EditKey)
  }

  /// The most numbers of an edit that stay here until its way back.
  static let mostKept = 8 << 20

  /// Scales what edits change here.
  let strength = EditStrength()
  private let device: CUDADevice
  private var pieces: [Place: PinnedMemory] = [:]
  private var lane: Lane?

  /// Copies beside the card's work, and the marks between the two: behind the gathering of rows, behind
  /// their copy here, behind the copy back.
  private struct Lane {
    let copies: CUDALane
    let gathered: CUDAEvent
    let arrived: CUDAEvent
    let returned: CUDAEvent

    init(_ device: CUDADevice) throws(ReFTError) {
      copies = try device.lane()
      (gathered, arrived, returned) = (try device.event(), try device.event(), try device.event())
    }
  }

  init(_ device: CUDADevice) { self.device = device }

  deinit { lane?.copies.settle() }

  private func opened() throws(ReFTError) -> Lane {
    if let lane { return lane }
    let made = try Lane(device)
    lane = made
    return made
  }

  /// Memory for so many floats and the room behind them; what it held is lost where it grows.
  ///
  /// - Throws: what the card's driver reports.
  func memory(_ place: Place, _ floats: Int) throws(ReFTError) -> UnsafeMutablePointer<Float> {
    let bytes = 4 * (floats + GatheredRows.roomBehind)
    if let piece = pieces[place], piece.byteCount >= bytes {
      return piece.base.assumingMemoryBound(to: Float.self)
    }
    lane?.copies.settle()
    let piece = try device.pinned(bytes)
    pieces[place] = piece
    return piece.base.assumingMemoryBound(to: Float.self)
  }

  /// Gathers rows and copies them here, while the card goes on; they are there after the next `wait()`.
  ///
  /// - Throws: what the card reports.
  func fetch(
    _ pass: DevicePass,
    _ rows: DeviceTaps.EditedRows,
    _ hidden: DeviceRows,
    _ slot: PassSlot,
    to place: Place
  ) throws(ReFTError) -> UnsafeMutablePointer<Float> {
    let lane = try opened()
    let count = rows.count * hidden.width
    let here = try memory(place, count)
    let gathered = try pass.floats(slot, hidden.width, rows: rows.count)
    try pass.operations.gather(rows.count, rows.list, from: hidden, into: gathered)
    try lane.gathered.record()
    try lane.copies.follow(lane.gathered)
    try lane.copies.copyOut(gathered, count * 4, to: here)
    try lane.copies.record(lane.arrived)
    return here
  }

  /// Waits for what was fetched, and has the threads awake that edit it.
  ///
  /// - Throws: what the card reports.
  func wait() throws(ReFTError) {
    let lane = try opened()
    // The copy takes as long as threads take to wake up.
    try lane.gathered.wait()
    ThreadPool.shared.rouse()
    try lane.arrived.wait()
  }

  /// Copies edited rows back to where they were gathered; the card's later work waits for them.
  ///
  /// - Throws: what the card reports.
  func send(
    _ pass: DevicePass,
    _ rows: DeviceTaps.EditedRows,
    _ hidden: DeviceRows
  ) throws(ReFTError) {
    let lane = try opened()
    let count = rows.count * hidden.width
    let gathered = try pass.floats(.gathered, hidden.width, rows: rows.count)
    try lane.copies.copyIn(try memory(.output, count), count * 4, to: gathered)
    try lane.copies.record(lane.returned)
    try device.follow(lane.returned)
    try pass.operations.scatter(
      rows.count,
      rows.list,
      gathered,
      old: nil,
      strength: 1,
      to: hidden
    )
  }
}
