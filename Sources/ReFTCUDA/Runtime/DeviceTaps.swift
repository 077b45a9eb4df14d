// SPDX-License-Identifier: Apache-2.0
// Edits of hidden states on the card: rows are gathered there, edited there by a device form or here by
// the plugin's own functions, and scattered back.

import ReFTModel
import ReFTTensor

/// The edits of one pass.
final class DeviceTaps {
  private let editor: any HiddenStateEditor
  private let pass: DevicePass
  private let exchange: PinnedExchange
  /// How many sites and updated products the way back has still to visit.
  private var left: Int
  private let forms: DeviceForms?
  /// The list of rows that was put last, since neighbouring sites edit the same tokens.
  private var last: (tokens: [Int32], rows: EditedRows)?

  /// The rows of an edit.
  struct EditedRows {
    /// For each row, which of the edit's tokens it is.
    var places: [Int32]
    /// The rows, on the card.
    var list: DevicePointer
    var count: Int { places.count }
  }

  init(
    _ editor: any HiddenStateEditor,
    _ pass: DevicePass,
    _ exchange: PinnedExchange,
    forms: DeviceForms?,
    products: Int
  ) {
    (self.editor, self.pass, self.exchange) = (editor, pass, exchange)
    self.forms = forms
    left = editor.sites.count + products
  }

  /// Whether the way back has visited every site and every updated product.
  var isDone: Bool { left == 0 }

  /// Notes that the way back has visited an updated product.
  func visitProduct() { left -= 1 }

  /// Lets the edits of a site at its rows.
  ///
  /// - Throws: what an edit or the card reports.
  func edit(_ site: Site, _ hidden: DeviceRows, source: DeviceRows?) throws {
    for (index, edit) in editor.edits(at: site).enumerated() {
      guard let (rows, columns) = try prepare(edit, hidden, site) else { continue }
      if edit.needsSource, source == nil { throw ReFTError.siteWithoutSource(site) }
      if let form = forms?.form(of: edit, EditKey(site: site, index: index)) {
        try form.forward(pass, rows, columns)
      } else {
        try onHost(edit, rows, columns, edit.needsSource ? source : nil)
      }
    }
  }

  /// Carries the gradients of a site's rows back through its edits.
  ///
  /// - Throws: as `edit`.
  func differentiate(_ site: Site, _ gradient: DeviceRows) throws {
    left -= 1
    for (index, edit) in editor.edits(at: site).enumerated().reversed() {
      guard let (rows, columns) = try prepare(edit, gradient, site) else { continue }
      if let form = forms?.form(of: edit, EditKey(site: site, index: index)) {
        try form.backward(pass, rows, columns)
      } else {
        try backOnHost(edit, rows, columns)
      }
    }
  }

  private func prepare(
    _ edit: any RowEdit,
    _ hidden: DeviceRows,
    _ site: Site
  ) throws(ReFTError) -> (rows: EditedRows, columns: DeviceRows)? {
    var own = hidden
    if let columns = edit.columns {
      guard columns.lowerBound >= 0, columns.upperBound <= hidden.width else {
        throw .columnsOutsideRows(columns, width: hidden.width, site)
      }
      own.offset += columns.lowerBound
      own.width = columns.count
    }
    let rows = try self.rows(of: edit.tokens)
    return rows.count > 0 ? (rows, own) : nil
  }

  /// The rows of tokens; of those that share a row the first stands for all.
  private func rows(of tokens: [Int32]) throws(ReFTError) -> EditedRows {
    if let last, last.tokens == tokens { return last.rows }
    var (places, list): ([Int32], [Int32]) = ([], [])
    var seen = Set<Int32>()
    for (index, token) in tokens.enumerated() {
      let row = pass.layout.row(ofToken: token)
      guard row >= 0, pass.layout.rowOfToken == nil || seen.insert(row).inserted else { continue }
      places.append(Int32(index))
      list.append(row)
    }
    let rows = EditedRows(places: places, list: try pass.lists.put(list))
    last = (tokens, rows)
    return rows
  }

  // MARK: On the host

  private func onHost(
    _ edit: any RowEdit,
    _ rows: EditedRows,
    _ hidden: DeviceRows,
    _ source: DeviceRows?
  ) throws {
    let count = rows.count * hidden.width
    var other: UnsafeMutablePointer<Float>?
    if let source {
      other = try exchange.fetch(pass, rows, source, at: count + GatheredRows.roomBehind)
    }
    let here = try exchange.fetch(pass, rows, hidden, at: 0)
    try pass.device.synchronise()
    try rows.places.withUnsafeBufferPointer { places in
      let gathered = GatheredRows(
        places: places,
        width: hidden.width,
        rows: here,
        source: other.map { UnsafePointer($0) },
        sourceWidth: source?.width ?? 0
      )
      try exchange.strength.edit(gathered, by: edit)
    }
    try exchange.send(pass, rows, hidden)
  }

  private func backOnHost(
    _ edit: any RowEdit,
    _ rows: EditedRows,
    _ gradient: DeviceRows
  ) throws {
    let here = try exchange.fetch(pass, rows, gradient, at: 0)
    try pass.device.synchronise()
    try rows.places.withUnsafeBufferPointer { places in
      let gathered = GatheredRows(
        places: places,
        width: gradient.width,
        rows: here,
        source: nil,
        sourceWidth: 0
      )
      try exchange.strength.differentiate(gathered, by: edit)
    }
    try exchange.send(pass, rows, gradient)
  }
}

/// Pinned memory in which rows are edited.
final class PinnedExchange {
  private let device: CUDADevice
  private var pinned: PinnedMemory?
  /// Scales what edits change here.
  let strength = EditStrength()

  init(_ device: CUDADevice) { self.device = device }

  /// Gathers rows and copies them here, `floats` numbers from the front; they are there after the next
  /// wait.
  ///
  /// - Throws: what the card reports.
  func fetch(
    _ pass: DevicePass,
    _ rows: DeviceTaps.EditedRows,
    _ hidden: DeviceRows,
    at floats: Int
  ) throws(ReFTError) -> UnsafeMutablePointer<Float> {
    let count = rows.count * hidden.width
    let memory = try reserve(2 * (floats + count + GatheredRows.roomBehind))
    let slot = floats == 0 ? PassSlot.gathered : .gatheredSource
    let gathered = try pass.floats(slot, hidden.width, rows: rows.count)
    try pass.operations.gather(rows.count, rows.list, from: hidden, into: gathered)
    let here = memory.base.assumingMemoryBound(to: Float.self) + floats
    try device.copyOut(gathered, count * 4, to: here)
    return here
  }

  /// Copies the rows at the front back to where they were gathered.
  ///
  /// - Throws: what the card reports.
  func send(
    _ pass: DevicePass,
    _ rows: DeviceTaps.EditedRows,
    _ hidden: DeviceRows
  ) throws(ReFTError) {
    guard let pinned else { return }
    let gathered = try pass.floats(.gathered, hidden.width, rows: rows.count)
    try device.copyIn(pinned.base, rows.count * hidden.width * 4, to: gathered)
    try pass.operations.scatter(
      rows.count,
      rows.list,
      gathered,
      old: nil,
      strength: 1,
      to: hidden
    )
  }

  private func reserve(_ floats: Int) throws(ReFTError) -> PinnedMemory {
    if let pinned, pinned.byteCount >= floats * 4 { return pinned }
    let grown = try device.pinned(floats * 4)
    pinned = grown
    return grown
  }
}

extension DevicePass {
  /// Shows a hidden tensor to whoever wants it.
  func tap(
    _ component: Component,
    _ block: Int,
    _ hidden: DeviceRows,
    source: DeviceRows? = nil
  ) throws {
    guard wants(component, block) else { return }
    try taps?.edit(Site(block: block, component: component), hidden, source: source)
  }

  /// Shows the gradient of a hidden tensor on the way back.
  func tapBackward(_ component: Component, _ block: Int, _ gradient: DeviceRows) throws {
    guard wants(component, block) else { return }
    try taps?.differentiate(Site(block: block, component: component), gradient)
  }
}
