// SPDX-License-Identifier: Apache-2.0
// What a layer read, handed to edits of what it made: the rows that stand at the site before it.

import Foundation
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Rows that a layer read")
struct SourceRowTests {
  /// A pass of each kind: parts of a prompt, decoded tokens, and the loss of a few rows.
  enum Kind: String, CaseIterable, Sendable {
    case prompt, decode, tail
  }

  private struct Case: CustomStringConvertible {
    var component: Component
    /// The site whose rows the layer reads.
    var read: Component
    var description: String { component.rawValue }
  }

  private static let cases = [
    Case(component: .queryOutput, read: .attentionInput),
    Case(component: .keyOutput, read: .attentionInput),
    Case(component: .valueOutput, read: .attentionInput),
    Case(component: .attentionOutput, read: .attentionValueOutput),
    Case(component: .mlpActivation, read: .mlpInput),
    Case(component: .blockOutput, read: .blockInput),
  ]

  /// Shows one edit at one site.
  private final class One: HiddenStateEditor {
    let sites: Set<Site>
    let needsAllRows: Bool
    let sharedPrefixLimit = 0
    let edit: any RowEdit

    init(_ site: Site, _ edit: any RowEdit, needsAllRows: Bool) {
      (sites, self.edit, self.needsAllRows) = ([site], edit, needsAllRows)
    }

    func edits(at site: Site) -> [any RowEdit] { [edit] }
  }

  private let tokens: [Int32] = [7, 8, 9, 10]

  /// What an edit of a site sees of each token: its rows, or what the layer read.
  private func seen(
    _ model: FrozenModel,
    _ site: Site,
    source: Bool,
    _ kind: Kind
  ) throws -> [Int32: [Float]] {
    var seen: [Int32: [Float]] = [:]
    let count = kind == .decode ? 1 : tokens.count
    let edit = RowsEdit(Array(0..<count)) { rows in
      for (index, place) in rows.places.enumerated() {
        let width = source ? rows.sourceWidth : rows.width
        let base = source ? rows.source : UnsafePointer(rows.rows)
        guard let base else { continue }
        seen[place] = Array(UnsafeBufferPointer(start: base + index * width, count: width))
      }
    } backward: { _ in
    }
    edit.needsSource = source
    let editor = One(site, edit, needsAllRows: !source && kind == .tail)
    let runtime = ModelRuntime(model: model)
    switch kind {
    case .tail:
      let batch = EngineFixture.batch([tokens], labelled: 3)
      _ = try runtime.lossAndGradient(batch, editor: editor, scale: 1)
    case .prompt, .decode:
      let cache = try runtime.makeCache(capacity: 10)
      if kind == .decode { _ = try runtime.step([(cache, [4, 5])], editor: nil) }
      _ = try runtime.step([(cache, Array(tokens.prefix(count)))], editor: editor)
    }
    return seen
  }

  @Test(
    "are those of the site before it, in prompts, decoded tokens and the tail of a loss",
    arguments: Kind.allCases
  )
  func rows(kind: Kind) throws {
    let model = try EngineFixture.model()
    for example in Self.cases {
      for block in 0..<2 {
        let site = Site(block: block, component: example.component)
        let read = Site(block: block, component: example.read)
        let source = try seen(model, site, source: true, kind)
        let rows = try seen(model, read, source: false, kind)
        let isInTail =
          kind != .decode && block == 1
          && [
            .attentionOutput, .mlpActivation, .blockOutput,
          ].contains(example.component)
        #expect(source.count == (kind == .decode || isInTail ? 1 : 4), "\(site)")
        #expect(model.configuration.sourceWidth(of: example.component) == 64)
        for (token, row) in source { #expect(rows[token] == row, "\(site), token \(token)") }
      }
    }
  }

  @Test("of the MLP's output are what its last projection multiplies", arguments: Kind.allCases)
  func down(kind: Kind) throws {
    try withTemporaryDirectory { folder in
      let path = try TinyModel().write(in: folder)
      let model = try FrozenModel(path: path)
      let file = try GGUFFile(path: path)
      let bytes = try #require(file.tensor("blk.0.ffn_down.weight")).bytes
      let weight = Array(bytes.bindMemory(to: Float.self))
      let site = Site(block: 0, component: .mlpOutput)
      let source = try seen(model, site, source: true, kind)
      let rows = try seen(model, site, source: false, kind)
      #expect(source.count == (kind == .decode ? 1 : 4))
      for (token, row) in source {
        #expect(row.count == 160)
        let product = (0..<64).map { i in
          (0..<160).reduce(Float(0)) { $0 + weight[i * 160 + $1] * row[$1] }
        }
        // Decoded rows are rounded to 16 bits on their way into the product.
        expectClose(try #require(rows[token]), product, tolerance: 2e-4, relative: 1e-3)
      }
    }
  }

  @Test("a site without such a row refuses an edit that asks for it, by name")
  func none() throws {
    let model = try EngineFixture.model()
    let without: [Component] = [.blockInput, .attentionInput, .attentionValueOutput, .mlpInput]
    for component in without {
      #expect(model.configuration.sourceWidth(of: component) == nil)
      let error = #expect(throws: ReFTError.self) {
        try seen(model, Site(block: 1, component: component), source: true, .prompt)
      }
      #expect(error?.code == .usage)
      #expect(error?.message.contains("\(component.rawValue) of block 1") == true)
    }
  }

  @Test("a pass that starts behind a block refuses to tell what that block read")
  func startsBehind() throws {
    let model = try EngineFixture.model()
    let batch = EngineFixture.batch([tokens], labelled: 2)
    let runtime = ModelRuntime(model: model)
    let input = try runtime.blockInput(1, of: batch)
    let edit = RowsEdit([0]) { _ in
    } backward: { _ in
    }
    let site = Site(block: 0, component: .blockOutput)
    let editor = One(site, edit, needsAllRows: false)
    _ = try runtime.loss(batch, editor: editor, from: input)
    edit.needsSource = true
    let error = #expect(throws: ReFTError.self) {
      try runtime.loss(batch, editor: editor, from: input)
    }
    #expect(error?.message.contains("Start at block 0") == true)
  }
}
