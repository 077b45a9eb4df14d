// SPDX-License-Identifier: Apache-2.0
// Rows on their way to edits and back: columns, strength, and what a layer read.

import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Rows for edits")
struct RowExchangeTests {
  private let site = Site(block: 0, component: .queryOutput)

  private final class One: HiddenStateEditor {
    let sites: Set<Site>
    let needsAllRows = true
    let sharedPrefixLimit = 0
    let list: [any RowEdit]

    init(_ site: Site, _ list: [any RowEdit]) { (sites, self.list) = ([site], list) }

    func edits(at site: Site) -> [any RowEdit] { list }
  }

  /// Doubles its rows; its derivative doubles gradients.
  private func doubling(_ tokens: [Int]) -> RowsEdit {
    func double(_ rows: GatheredRows) {
      for index in 0..<rows.count * rows.width { rows.rows[index] *= 2 }
    }
    return RowsEdit(tokens, forward: double, backward: double)
  }

  private func rows() -> FloatBuffer { FloatBuffer((0..<12).map { Float($0) }) }

  @Test("an edit of columns changes these and no others, forward and back")
  func columns() throws {
    let buffer = rows()
    let edit = doubling([2, 0])
    edit.columns = 1..<3
    let hidden = HiddenRows(base: buffer.base, rowStride: 4, width: 4)
    try RowExchange().edit(hidden, at: site, by: One(site, [edit]))
    #expect(Array(buffer.values) == [0, 2, 4, 3, 4, 5, 6, 7, 8, 18, 20, 11])
    try RowExchange().differentiate(hidden, at: site, by: One(site, [edit]))
    #expect(Array(buffer.values) == [0, 4, 8, 3, 4, 5, 6, 7, 8, 36, 40, 11])
    edit.columns = 3..<5
    let error = #expect(throws: ReFTError.self) {
      try RowExchange().edit(hidden, at: site, by: One(site, [edit]))
    }
    #expect(error?.code == .usage)
    #expect(error?.message.contains("the numbers 3 to 4 of rows of 4") == true)
  }

  @Test("strength scales the change, and the gradient of the change")
  func strength() throws {
    let buffer = rows()
    let edit = doubling([1])
    edit.strength = 0.5
    let hidden = HiddenRows(base: buffer.base, rowStride: 4, width: 4)
    try RowExchange().edit(hidden, at: site, by: One(site, [edit]))
    #expect(Array(buffer.values)[4..<8] == [6, 7.5, 9, 10.5])
    // d (x + s (2x − x)) / d x = 1 + s.
    try RowExchange().differentiate(hidden, at: site, by: One(site, [edit]))
    #expect(Array(buffer.values)[4..<8] == [9, 11.25, 13.5, 15.75])
    edit.strength = 0
    try RowExchange().edit(hidden, at: site, by: One(site, [edit]))
    #expect(Array(buffer.values)[4..<8] == [9, 11.25, 13.5, 15.75])
  }

  @Test("edits apply in order, and go back in reverse")
  func order() throws {
    let buffer = rows()
    var seen: [Float] = []
    let add = RowsEdit([0]) { rows in
      rows.rows[0] += 3
    } backward: {
      seen.append($0.rows[0])
    }
    let hidden = HiddenRows(base: buffer.base, rowStride: 4, width: 4)
    try RowExchange().edit(hidden, at: site, by: One(site, [add, doubling([0])]))
    #expect(buffer[0] == 6)
    try RowExchange().differentiate(hidden, at: site, by: One(site, [add, doubling([0])]))
    #expect(seen == [12])
  }

  @Test("an edit that asks for it sees what the layer read", arguments: [false, true])
  func source(isDecode: Bool) throws {
    let model = try EngineFixture.model()
    let site = Site(block: 1, component: .queryOutput)
    let normed = Site(block: 1, component: .attentionInput)
    var (read, source): ([Float], [Float]) = ([], [])
    func copy(_ from: UnsafePointer<Float>, _ count: Int) -> [Float] {
      Array(UnsafeBufferPointer(start: from, count: count))
    }
    let watch = RowsEdit([0]) {
      read = copy($0.rows, $0.width)
    } backward: { _ in
    }
    let edit = RowsEdit([0]) { rows in
      if let from = rows.source { source = copy(from, rows.sourceWidth) }
    } backward: { _ in
    }
    edit.needsSource = true
    final class Two: HiddenStateEditor {
      let list: [Site: any RowEdit]
      var sites: Set<Site> { Set(list.keys) }
      let needsAllRows = false
      let sharedPrefixLimit = 0
      init(_ list: [Site: any RowEdit]) { self.list = list }
      func edits(at site: Site) -> [any RowEdit] { list[site].map { [$0] } ?? [] }
    }
    let runtime = ModelRuntime(model: model)
    let cache = try runtime.makeCache(capacity: 10)
    if isDecode { _ = try runtime.step([(cache, [4, 5])], editor: nil) }
    let tokens: [Int32] = isDecode ? [7] : [7, 8, 9]
    _ = try runtime.step([(cache, tokens)], editor: Two([site: edit, normed: watch]))
    #expect(source.count == 64)
    expectIdentical(source, read)
  }
}
