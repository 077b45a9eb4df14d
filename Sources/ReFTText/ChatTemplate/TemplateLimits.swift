// SPDX-License-Identifier: Apache-2.0
// What one template may cost. A template comes with a stranger's model, so everything that it can
// make larger is counted, and counted before the memory for it is taken.

/// The limits of a template, which no honest one reaches.
package enum TemplateLimits {
  /// The longest template, in bytes of UTF-8.
  static let longestTemplate = 1 << 20
  /// How deep blocks, brackets, signs and chains of filters may nest in the text of a template.
  static let deepestSyntax = 100
  /// How deep the evaluation may nest, calls of macros included.
  static let deepestEvaluation = 300
  /// How deep lists and dictionaries may nest.
  static let deepestValue = 100
  /// The bytes and items that one rendering may touch.
  package static let work = 1 << 27
  /// The most items of `range()`, as in Jinja's sandbox.
  static let longestRange = 100_000

  /// What an expression or a statement costs beside the bytes and items that it touches.
  static let stepCost = 32
  /// What a scope for variables costs.
  static let scopeCost = 256
  /// What an item of a new list costs.
  static let itemCost = 32
  /// What an entry of a new dictionary costs, beside the bytes of its key.
  static let entryCost = 64
  /// What a byte costs whose character is looked up in the tables of Unicode.
  static let characterCost = 8
}

/// The work that a rendering has left.
struct TemplateBudget {
  private let limit: Int
  private var left: Int

  init(_ limit: Int) { (self.limit, left) = (limit, limit) }

  /// Takes `count` times `cost` from what is left.
  ///
  /// - Throws: when that is more than there is, with the limit.
  mutating func charge(_ count: Int, times cost: Int, line: Int) throws(TemplateFault) {
    let (amount, overflow) = count.multipliedReportingOverflow(by: cost)
    guard !overflow, amount >= 0, amount <= left else {
      left = 0
      throw TemplateFault(
        line: line,
        message: "the template touches more than \(limit) bytes and items; "
          + "it is no template that can be rendered"
      )
    }
    left -= amount
  }
}
