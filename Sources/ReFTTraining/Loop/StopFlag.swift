// SPDX-License-Identifier: Apache-2.0
// The wish to end a run early, from another thread or a signal handler.

import Synchronization

/// Asks a run to save and end; setting it is safe anywhere, and setting it twice does no more.
public final class StopFlag: Sendable {
  private let flag = Atomic(false)

  /// A flag that is not set.
  public init() {}

  /// Asks the run to end after what it is doing.
  public func set() { flag.store(true, ordering: .relaxed) }

  /// Whether somebody asked.
  public var isSet: Bool { flag.load(ordering: .relaxed) }
}
