// SPDX-License-Identifier: Apache-2.0
// Sizes of a manifest in terms of the row's width and of options: 4, "dim", "option.rank*dim".

import ReFTTensor

/// A product of whole numbers, the width of a row, and options.
struct ManifestSize: Sendable {
  enum Factor: Sendable {
    case number(Int)
    case dim
    case option(String)
  }
  var factors: [Factor]

  static let zero = ManifestSize(factors: [.number(0)])

  init(factors: [Factor]) { self.factors = factors }

  init(_ node: ManifestNode, options: [PluginOption]) throws(ReFTError) {
    if let value = node.value.number {
      guard let size = Int(exactly: value), size >= 0 else {
        throw node.fail("is \(value), expected a whole number that is not negative")
      }
      factors = [.number(size)]
      return
    }
    var factors: [Factor] = []
    for part in try node.text().split(separator: "*", omittingEmptySubsequences: false) {
      let part = part.trimmingPrefix(while: { $0 == " " }).split(separator: " ").first ?? ""
      if part == "dim" {
        factors.append(.dim)
      } else if let number = Int(part), number >= 0 {
        factors.append(.number(number))
      } else if part.hasPrefix("option.") {
        let name = String(part.dropFirst(7))
        guard let option = options.first(where: { $0.name == name }) else {
          throw node.fail("names option '\(name)', which the manifest does not declare")
        }
        guard option.kind == .int else {
          throw node.fail(
            "uses option '\(name)' as a size; it is a \(option.kind.rawValue), not an int"
          )
        }
        factors.append(.option(name))
      } else {
        throw node.fail(
          "has the factor '\(part)'; a size is a product of whole numbers, 'dim' and 'option.NAME'"
        )
      }
    }
    self.factors = factors
  }

  /// The number for one instance, or nil when it is negative or too large.
  func resolved(dim: Int, options: [String: OptionValue]) -> Int? {
    var result = 1
    for factor in factors {
      let value: Int
      switch factor {
      case .number(let number): value = number
      case .dim: value = dim
      case .option(let name):
        guard case .int(let number) = options[name], let size = Int(exactly: number) else {
          return nil
        }
        value = size
      }
      let (product, overflow) = result.multipliedReportingOverflow(by: value)
      guard !overflow, value >= 0, product < 1 << 40 else { return nil }
      result = product
    }
    return result
  }
}
