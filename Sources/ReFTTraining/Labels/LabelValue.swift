// SPDX-License-Identifier: Apache-2.0
// What stands under "label" in a row, before anybody knows which labels there are.

import ReFTTensor

/// A label as it is written.
package indirect enum LabelValue: Equatable {
  /// A whole number: the number of a label, or the value of a regression.
  case whole(Int64)
  /// A number with a fraction.
  case real(Double)
  /// A name.
  case name(String)
  /// All labels that hold.
  case list([LabelValue])

  /// A label as it is written in a table, where all is text.
  package init(cell: String) {
    if let number = Int64(cell) {
      self = .whole(number)
    } else if let number = Double(cell), number.isFinite, !cell.lowercased().contains("x") {
      self = .real(number)
    } else {
      self = .name(cell)
    }
  }

  /// The label as it may stand in a message.
  var shown: String {
    switch self {
    case .whole(let number): "\(number)"
    case .real(let number): "\(number)"
    case .name(let text): "\"\(text.shown(40))\""
    case .list(let items):
      "[" + items.prefix(4).map(\.shown).joined(separator: ", ") + (items.count > 4 ? ", …]" : "]")
    }
  }
}

extension JSONNode {
  /// The label that stands here; nil for anything else.
  var label: LabelValue? {
    switch content {
    case .integer(let number): return .whole(number)
    case .number(let number): return number.isFinite ? .real(number) : nil
    case .text: return word.map { .name($0) }
    case .list(let items):
      let labels = items.compactMap(\.label)
      return labels.count == items.count ? .list(labels) : nil
    case .flag, .null, .object: return nil
    }
  }
}
