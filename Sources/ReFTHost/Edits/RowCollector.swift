// SPDX-License-Identifier: Apache-2.0
// What plugins tell of the rows that they edit, kept for who asks.

public import ReFTModel
import ReFTTensor

/// Takes what plugins tell of rows: hand one to an `EditSession`, and look at it after each pass.
public final class RowCollector {
  /// What one intervention told of the rows of one layer.
  public struct Part: Sendable {
    /// The intervention in its adapter.
    public let intervention: Int
    /// Where it works.
    public let site: Site
    /// The head that it edits; nil for whole rows.
    public let head: Int?
    /// The tokens that its parameters serve, where others serve others.
    public let end: String?
    /// Numbers of a row.
    public let width: Int
    /// The numbers, row after row.
    public internal(set) var values: [Float] = []
    /// The key of each row's sequence.
    public internal(set) var keys: [Int64] = []
    /// Each row's position in it.
    public internal(set) var positions: [Int32] = []

    /// `interventions.0.layers.8`, with the head and the tokens where there are several.
    public var name: String {
      let head = head.map { ".heads.\($0)" } ?? ""
      return "interventions.\(intervention).layers.\(site.block)\(head)"
        + (end.map { "." + $0 } ?? "")
    }
  }

  /// What was told so far, in the order of interventions and layers.
  public var parts: [Part] {
    all.values.sorted {
      ($0.intervention, $0.site.block, $0.head ?? -1, $0.end ?? "")
        < ($1.intervention, $1.site.block, $1.head ?? -1, $1.end ?? "")
    }
  }
  private var all: [ObjectIdentifier: Part] = [:]

  /// Nothing yet.
  public init() {}

  /// Takes the rows of one call.
  func take(_ values: UnsafeBufferPointer<Float>, of unit: AdapterUnit, rows: PluginRows) {
    let key = ObjectIdentifier(unit)
    let count = Int(rowCount(values.count, unit))
    var part =
      all[key]
      ?? Part(
        intervention: unit.intervention,
        site: unit.site,
        head: unit.head,
        end: unit.part.name,
        width: widths[key] ?? 0
      )
    part.values += values
    part.keys += UnsafeBufferPointer(start: rows.key, count: count)
    part.positions += UnsafeBufferPointer(start: rows.position, count: count)
    all[key] = part
  }

  private var widths: [ObjectIdentifier: Int] = [:]

  /// Notes how many numbers a unit tells of a row.
  func expect(_ width: Int, of unit: AdapterUnit) { widths[ObjectIdentifier(unit)] = width }

  private func rowCount(_ values: Int, _ unit: AdapterUnit) -> Int {
    values / max(1, widths[ObjectIdentifier(unit)] ?? 1)
  }
}

extension RowCollector.Part {
  /// Puts the rows into another order.
  public mutating func reorder(_ order: [Int]) {
    let (width, old) = (width, self)
    values = order.flatMap { old.values[$0 * width..<($0 + 1) * width] }
    keys = order.map { old.keys[$0] }
    positions = order.map { old.positions[$0] }
  }
}
