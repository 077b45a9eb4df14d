// SPDX-License-Identifier: Apache-2.0
// The rows of another prompt at the sites of an adapter, for plugins that put them in place of a sequence's
// own, or a part of them: interchange interventions.

public import ReFTModel
import ReFTTensor

/// What the frozen model computes of one source prompt, at the sites and locations of an adapter's
/// interventions that ask for it.
public final class CounterpartRows: Sendable {
  /// One intervention of one adapter.
  private struct Owner: Hashable {
    var store: ObjectIdentifier
    var intervention: Int
  }
  private struct Place: Hashable {
    var owner: Owner
    var site: Site
  }
  private struct Rows {
    var width: Int
    var values: [Float]
  }

  /// How many locations each intervention has in the source prompt.
  private let counts: [Owner: Int]
  private let rows: [Place: Rows]

  private init(counts: [Owner: Int], rows: [Place: Rows]) {
    (self.counts, self.rows) = (counts, rows)
  }

  private static func owner(_ unit: AdapterUnit) -> Owner {
    Owner(store: ObjectIdentifier(unit.store), intervention: unit.intervention)
  }

  /// The memory that the rows take.
  package var byteCount: Int { rows.values.reduce(0) { $0 + 4 * $1.values.count } }

  /// How many locations the intervention of a unit has in the source prompt.
  func count(of unit: AdapterUnit) -> Int { counts[Self.owner(unit)] ?? 0 }

  /// The numbers of the row at a location that a unit edits.
  func row(of unit: AdapterUnit, location: Int) -> ArraySlice<Float>? {
    guard let all = rows[Place(owner: Self.owner(unit), site: unit.site)], location >= 0,
      (location + 1) * all.width <= all.values.count
    else { return nil }
    let columns = unit.columns ?? 0..<all.width
    let start = location * all.width
    return all.values[start + columns.lowerBound..<start + columns.upperBound]
  }

  /// Runs the frozen model over source prompts.
  ///
  /// - Parameters:
  ///   - adapters: whose interventions ask.
  ///   - prompts: the tokens of each.
  ///   - runtime: runs the model.
  /// - Returns: the rows of each prompt.
  /// - Throws: `usage` for positions that a prompt does not have, or what the model throws.
  public static func compute(
    _ adapters: AdapterStack,
    prompts: [[Int32]],
    runtime: any DeviceRuntime
  ) throws -> [CounterpartRows] {
    var batch = PackedBatch()
    for ids in prompts { batch.append(ids: ids) }
    let reader = try Reader(adapters, prompts: prompts)
    let ends = batch.segments.map { Int32($0.start + $0.count - 1) }
    try runtime.hiddenStates(of: batch, at: ends, editor: reader, from: nil) { _ in }
    return prompts.indices.map { reader.result(of: $0) }
  }

  /// Reads rows and leaves them as they are.
  private final class Reader: HiddenStateEditor {
    private(set) var sites: Set<Site> = []
    let needsAllRows = true
    let sharedPrefixLimit = 0
    private var reads: [Site: [Read]] = [:]
    private var counts: [[Owner: Int]]

    init(_ adapters: AdapterStack, prompts: [[Int32]]) throws {
      counts = prompts.map { _ in [:] }
      for part in adapters.parts {
        for index in part.adapter.specs.indices {
          try add(part.adapter, index, prompts)
        }
      }
    }

    /// Reads the rows of one intervention, if a plugin of it asks.
    private func add(_ adapter: Adapter, _ index: Int, _ prompts: [[Int32]]) throws {
      let units = adapter.units.filter { $0.intervention == index && $0.needsCounterpart }
      guard let first = units.first else { return }
      let owner = CounterpartRows.owner(first)
      var (tokens, firsts, start): ([Int32], [Int], Int) = ([], [], 0)
      for (number, ids) in prompts.enumerated() {
        let positions = try adapter.specs[index].positions.rows(
          promptLength: ids.count,
          tokens: ids[...],
          tokenizer: adapter.tokenizer
        ).sorted { $0.location < $1.location }
        firsts.append(tokens.count)
        tokens += positions.map { Int32(start + $0.position) }
        counts[number][owner] = positions.count
        start += ids.count
      }
      for site in Set(units.map(\.site)) {
        sites.insert(site)
        reads[site, default: []].append(Read(owner, tokens, firsts))
      }
    }

    func edits(at site: Site) -> [any RowEdit] { reads[site] ?? [] }

    func result(of number: Int) -> CounterpartRows {
      var rows: [Place: Rows] = [:]
      for (site, list) in reads {
        for read in list {
          let count = counts[number][read.owner] ?? 0
          let first = read.firsts[number]
          let range = first * read.width..<(first + count) * read.width
          rows[Place(owner: read.owner, site: site)] = Rows(
            width: read.width,
            values: Array(read.rows[range])
          )
        }
      }
      return CounterpartRows(counts: counts[number], rows: rows)
    }
  }

  /// The rows of one intervention at one site, of all prompts.
  private final class Read: RowEdit {
    let owner: Owner
    let tokens: [Int32]
    /// Where the rows of each prompt begin.
    let firsts: [Int]
    private(set) var width = 0
    private(set) var rows: [Float] = []

    init(_ owner: Owner, _ tokens: [Int32], _ firsts: [Int]) {
      (self.owner, self.tokens, self.firsts) = (owner, tokens, firsts)
    }

    func edit(_ gathered: GatheredRows) {
      width = gathered.width
      rows = Array(UnsafeBufferPointer(start: gathered.rows, count: gathered.count * width))
    }

    func differentiate(_ gradient: GatheredRows) {}
  }
}
