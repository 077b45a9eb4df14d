// SPDX-License-Identifier: Apache-2.0
// Which token at which site was changed by how much.

public import ReFTModel
import ReFTTensor

/// What the edits of one site made of the row of one token.
public struct EditChange: Sendable, Hashable {
  /// The sequence, by its key.
  public var sequence: Int
  /// Index of the token in the sequence.
  public var position: Int
  /// Where.
  public var site: Site
  /// ‖Δh‖: the length of the difference that all edits of the site make together.
  public var change: Double
  /// ‖h‖: the length of the row before.
  public var norm: Double

  /// ‖Δh‖/‖h‖; nil for a row of zeros.
  public var ratio: Double? { norm > 0 ? change / norm : nil }
}

/// Collects what edits change, while passes run.
///
/// Rows of traced passes come to the memory of this process, wherever the model runs, and tokens that would
/// share a row have one each, so that a traced pass takes longer; its numbers are the same to within
/// rounding. One thread at a time uses it.
public final class EditTrace {
  private struct Key: Hashable {
    var sequence: Int
    var position: Int
    var site: Site
  }

  /// The most changes that are kept.
  public static let limit = 1 << 20

  private var changes: [Key: EditChange] = [:]
  /// How many changes were left out, beyond the limit.
  public private(set) var leftOut = 0

  /// A trace of nothing yet.
  public init() {}

  /// Takes a change in; of the same token and site the last one stays.
  func record(_ change: EditChange) {
    let key = Key(sequence: change.sequence, position: change.position, site: change.site)
    guard changes.count < Self.limit || changes[key] != nil else {
      leftOut += 1
      return
    }
    changes[key] = change
  }

  /// The changes by sequence, token and site, sites in the order of computation.
  public var sorted: [EditChange] {
    changes.values.sorted {
      ($0.sequence, $0.position, $0.site.order) < ($1.sequence, $1.position, $1.site.order)
    }
  }

  /// What the changes of each site are together, sites in the order of computation.
  public var summaries: [SiteChange] {
    Dictionary(grouping: changes.values, by: \.site).map { site, changes -> SiteChange in
      let ratios = changes.compactMap(\.ratio).sorted()
      return SiteChange(
        site: site,
        tokens: changes.count,
        mean: ratios.reduce(0, +) / Double(max(1, ratios.count)),
        largest: ratios.last ?? 0
      )
    }.sorted { $0.site.order < $1.site.order }
  }
}

/// How much the tokens of one site were changed.
public struct SiteChange: Sendable, Hashable {
  /// Where.
  public var site: Site
  /// How many tokens were edited.
  public var tokens: Int
  /// The mean of ‖Δh‖/‖h‖ over them.
  public var mean: Double
  /// The largest of it.
  public var largest: Double
}

extension Site {
  /// Its place in the order of computation.
  fileprivate var order: Int {
    let order: [Component] = [
      .blockInput, .attentionInput, .queryOutput, .keyOutput, .valueOutput, .attentionValueOutput,
      .attentionOutput, .mlpInput, .mlpActivation, .mlpOutput, .blockOutput,
    ]
    return block * order.count + (order.firstIndex(of: component) ?? 0)
  }
}
