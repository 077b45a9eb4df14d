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
  /// Whether edits are asked for their gradients afterwards.
  private let goesBack: Bool
  /// The list of rows that was put last, since neighbouring sites edit the same tokens.
  private var last: (tokens: [Int32], rows: EditedRows)?
  /// What edits say of the gradient of what their layers read, until that gradient exists.
  private var sourceGradients: [Site: [(rows: EditedRows, values: [Float])]] = [:]

  /// An edit here that the card does not wait for yet.
  private var pending: Pending?

  /// What is left to do of an edit whose rows are on their way here.
  private struct Pending {
    let rows: EditedRows
    let finish: () throws -> Void
  }

  /// The rows of an edit.
  struct EditedRows {
    /// For each row, which of the edit's tokens it is.
    var places: [Int32]
    /// The rows, on the card; nil where they are all rows of the pass.
    var list: DevicePointer?
    var count: Int { places.count }
  }

  init(
    _ editor: any HiddenStateEditor,
    _ pass: DevicePass,
    _ exchange: PinnedExchange,
    forms: DeviceForms?,
    products: Int = 0,
    goesBack: Bool = false
  ) {
    (self.editor, self.pass, self.exchange) = (editor, pass, exchange)
    self.goesBack = goesBack
    self.forms = forms
    left = editor.sites.count + products
  }

  /// Whether the way back has visited every site and every updated product.
  var isDone: Bool { left == 0 }

  /// Notes that the way back has visited an updated product.
  func visitProduct() { left -= 1 }

  /// Lets the edits of a site at its rows.
  ///
  /// - Parameters:
  ///   - site: where.
  ///   - hidden: the rows of the pass there.
  ///   - source: what the layer read that made them.
  ///   - mayPend: whether the caller calls `finishPending` before anything else reads the rows.
  /// - Throws: what an edit or the card reports.
  func edit(
    _ site: Site,
    _ hidden: DeviceRows,
    source: DeviceRows?,
    mayPend: Bool = false
  ) throws {
    let edits = editor.edits(at: site)
    for (index, edit) in edits.enumerated() {
      guard let (rows, columns) = try prepare(edit, hidden, site) else { continue }
      if edit.needsSource, source == nil { throw ReFTError.siteWithoutSource(site) }
      let key = EditKey(site: site, index: index)
      if let form = forms?.form(of: edit, key) {
        try form.forward(pass, rows, columns)
      } else {
        let finish = try onHost(edit, key, rows, columns, edit.needsSource ? source : nil)
        try end(rows, finish, mayPend: mayPend && edits.count == 1)
      }
    }
  }

  /// Ends the edit that is under way, if one is.
  ///
  /// - Returns: its rows, which have changed by then.
  /// - Throws: what the edit or the card reports.
  func finishPending() throws -> EditedRows? {
    guard let edit = pending else { return nil }
    pending = nil
    try edit.finish()
    return edit.rows
  }

  /// Ends an edit, or lets the card do first what does not depend on its rows, where these are few.
  private func end(_ rows: EditedRows, _ finish: @escaping () throws -> Void, mayPend: Bool) throws
  {
    guard mayPend, rows.list != nil, rows.count <= pass.rows / 4 else { return try finish() }
    pending = Pending(rows: rows, finish: finish)
  }

  /// Carries the gradients of a site's rows back through its edits.
  ///
  /// - Throws: as `edit`.
  func differentiate(_ site: Site, _ gradient: DeviceRows, mayPend: Bool = false) throws {
    left -= 1
    let edits = editor.edits(at: site)
    for (index, edit) in edits.enumerated().reversed() {
      guard let (rows, columns) = try prepare(edit, gradient, site) else { continue }
      if let form = forms?.form(of: edit, EditKey(site: site, index: index)) {
        try form.backward(pass, rows, columns)
      } else {
        let finish = try backOnHost(edit, rows, columns, site)
        // Below the last site nothing is done that could go on meanwhile.
        let mayPend = mayPend && edits.count == 1 && left > 0 && !edit.givesSourceGradient
        try end(rows, finish, mayPend: mayPend)
      }
    }
  }

  /// Adds what edits of a site say of the gradient of what its layer reads to that gradient.
  ///
  /// - Throws: what the card reports.
  func addSourceGradients(_ site: Site, to gradient: DeviceRows) throws {
    for (rows, values) in sourceGradients.removeValue(forKey: site) ?? [] {
      let here = try exchange.fetch(pass, rows, gradient, .gathered, to: .output)
      try exchange.wait()
      for index in values.indices { here[index] += values[index] }
      try exchange.send(pass, rows, gradient)
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
    if pass.layout.rowOfToken == nil, tokens.elementsEqual(0..<Int32(pass.rows)) {
      return EditedRows(places: tokens, list: nil)
    }
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

  /// Has rows brought here.
  ///
  /// - Returns: what edits them and sends them back.
  private func onHost(
    _ edit: any RowEdit,
    _ key: EditKey,
    _ rows: EditedRows,
    _ hidden: DeviceRows,
    _ source: DeviceRows?
  ) throws(ReFTError) -> () throws -> Void {
    let (pass, exchange) = (pass, exchange)
    let count = rows.count * hidden.width
    var other: UnsafePointer<Float>?
    if let source {
      other = UnsafePointer(
        try exchange.fetch(pass, rows, source, .gatheredSource, to: .source)
      )
    }
    // Rows that are too many to stay here are the edit's to copy, which then works in their place, as
    // it does where only a part of its change counts.
    let moves =
      edit.takesOutput && edit.strength == 1 && (!goesBack || count <= PinnedExchange.mostKept)
    let place: PinnedExchange.Place = !moves ? .output : goesBack ? .kept(key) : .rows
    let here = try exchange.fetch(pass, rows, hidden, .gathered, to: place)
    let output = try exchange.memory(.output, count)
    return { [other] in
      try exchange.wait()
      try rows.places.withUnsafeBufferPointer { places in
        let gathered = GatheredRows(
          places: places,
          width: hidden.width,
          rows: here,
          output: moves ? output : nil,
          source: other,
          sourceWidth: source?.width ?? 0
        )
        try exchange.strength.edit(gathered, by: edit)
      }
      try exchange.send(pass, rows, hidden)
    }
  }

  /// Has gradients of rows brought here.
  ///
  /// - Returns: what carries them back through an edit and sends them back.
  private func backOnHost(
    _ edit: any RowEdit,
    _ rows: EditedRows,
    _ gradient: DeviceRows,
    _ site: Site
  ) throws(ReFTError) -> () throws -> Void {
    // The gradient of what the layer read matters to edits below alone.
    let sourceWidth = edit.givesSourceGradient && left > 0 ? pass.sourceWidth(of: site) : 0
    let count = rows.count * gradient.width
    let moves = edit.takesOutput && edit.strength == 1
    let here = try exchange.fetch(pass, rows, gradient, .gathered, to: moves ? .rows : .output)
    let output = try exchange.memory(.output, count)
    return { [unowned self] in
      try exchange.wait()
      var slopes = [Float](
        repeating: 0,
        count: sourceWidth == 0 ? 0 : rows.count * sourceWidth + GatheredRows.roomBehind
      )
      try slopes.withUnsafeMutableBufferPointer { slopes in
        try rows.places.withUnsafeBufferPointer { places in
          let gathered = GatheredRows(
            places: places,
            width: gradient.width,
            rows: here,
            output: moves ? output : nil,
            sourceWidth: sourceWidth,
            sourceGradient: sourceWidth == 0 ? nil : slopes.baseAddress
          )
          try exchange.strength.differentiate(gathered, by: edit)
        }
      }
      if sourceWidth > 0 {
        let values = Array(slopes.prefix(rows.count * sourceWidth))
        sourceGradients[site, default: []].append((rows, values))
      }
      try exchange.send(pass, rows, gradient)
    }
  }
}

extension DevicePass {
  /// Shows a hidden tensor to whoever wants it.
  func tap(
    _ component: Component,
    _ block: Int,
    _ hidden: DeviceRows,
    source: DeviceRows? = nil,
    mayPend: Bool = false
  ) throws {
    guard wants(component, block) else { return }
    let site = Site(block: block, component: component)
    try taps?.edit(site, hidden, source: source, mayPend: mayPend)
  }

  /// Numbers in a row of what the layer of a site reads; 0 where there is none.
  fileprivate func sourceWidth(of site: Site) -> Int { shape.sourceWidth(of: site.component) ?? 0 }

  /// Completes the gradient of what the layers of some components read.
  func readBackward(_ components: [Component], _ block: Int, _ gradient: DeviceRows) throws {
    for component in components where wants(component, block) {
      try taps?.addSourceGradients(Site(block: block, component: component), to: gradient)
    }
  }

  /// Shows the gradient of a hidden tensor on the way back.
  func tapBackward(
    _ component: Component,
    _ block: Int,
    _ gradient: DeviceRows,
    mayPend: Bool = false
  ) throws {
    guard wants(component, block) else { return }
    let site = Site(block: block, component: component)
    try taps?.differentiate(site, gradient, mayPend: mayPend)
  }
}
