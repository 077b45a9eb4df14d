// SPDX-License-Identifier: Apache-2.0
// What a compiled model is made of: operations that know their way forward and their way back.

import ReFTTensor

/// One operation of a compiled model on the rows of a pass.
protocol Step: Sendable {
  /// Whether it computes the rows of the tail alone.
  var inTail: Bool { get }
  /// The kind of its work on rows, for a profile.
  var kind: WorkKind { get }

  /// Whether it does what is still to be done to each row itself, as it reads the row.
  func makesRows(_ pass: Pass) -> Bool

  /// Computes forward.
  ///
  /// - Parameters:
  ///   - pass: the rows.
  ///   - pending: what is still to be done to each row that it reads, before it reads it.
  /// - Returns: what is still to be done to each row before somebody reads what it made; the runtime
  ///   does that at once, or leaves it to the next step.
  /// - Throws: what an editor throws.
  func forward(_ pass: Pass, after pending: RowWork?) throws -> RowWork?

  /// Whether the way back has something to do here besides going further.
  func isGoal(_ pass: Pass) -> Bool

  /// Turns d loss / d (what it made) into d loss / d (what it read).
  ///
  /// - Throws: what an editor throws.
  func backward(_ pass: Pass) throws
}

extension Step {
  /// Decoded rows are left to all steps.
  func makesRows(_ pass: Pass) -> Bool { pass.defersRows }

  /// It leads further alone.
  func isGoal(_ pass: Pass) -> Bool { false }
}

/// One piece of work on a row after another.
func chained(_ first: RowWork?, _ second: @escaping RowWork) -> RowWork {
  guard let first else { return second }
  return { row in
    first(row)
    second(row)
  }
}
