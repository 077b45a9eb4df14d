// SPDX-License-Identifier: Apache-2.0
// Where a pass spends its time, by kind of work, as the thread that drives the pass sees it.

import Foundation

/// Sums the time between the ends of consecutive pieces of work, by kind.
final class WorkClock {
  private(set) var seconds: [WorkKind: Double] = [:]
  private var last = DispatchTime.now().uptimeNanoseconds

  /// Starts to count; what came before counts for nothing.
  func begin() { last = DispatchTime.now().uptimeNanoseconds }

  /// Says that the work since the last call was of a kind.
  func lap(_ kind: WorkKind) {
    let now = DispatchTime.now().uptimeNanoseconds
    seconds[kind, default: 0] += Double(now - last) / 1e9
    last = now
  }
}

/// A kind of work of a pass.
///
/// In a decode step the norms, the gate and the rounding of rows that nobody edits are done on the
/// way to a product, and rotation on the way to attention; they count there.
public enum WorkKind: String, CaseIterable, Sendable {
  /// Rows of the embedding matrix.
  case embedding
  /// RMSNorm, forward and backward.
  case normalisation
  /// Products with the weights of the blocks, their expansion included.
  case projections
  /// Rotary embedding.
  case rotation
  /// Scores, softmax and weighted values; keys and values into their cache.
  case attention
  /// The MLP's gate.
  case activation
  /// Hidden states to plugins and back, the plugins' own work included.
  case edits
  /// The output matrix, softmax and loss.
  case head
  /// What lies between: memory, lists of rows, drawing of breath.
  case rest
}

/// Parts of a measured time that add up to one.
public struct WorkProfile: Sendable {
  /// The part of each kind, from 0 to 1.
  public let shares: [WorkKind: Double]

  /// Runs work that laps a clock.
  init(_ work: (WorkClock) throws -> Void) rethrows {
    let clock = WorkClock()
    let start = DispatchTime.now().uptimeNanoseconds
    clock.begin()
    try work(clock)
    self.init(clock, total: Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9)
  }

  /// Divides what a clock counted by the whole time; the rest is its own kind.
  init(_ clock: WorkClock, total: Double) {
    var shares = clock.seconds.mapValues { $0 / total }
    shares[.rest, default: 0] += max(0, 1 - shares.values.reduce(0, +))
    self.shares = shares
  }
}
