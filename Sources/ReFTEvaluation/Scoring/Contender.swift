// SPDX-License-Identifier: Apache-2.0
// Who is asked: the frozen model, or the model with an adapter. Several are asked side by side.

public import ReFTHost

/// One who is asked.
public struct Contender: Sendable {
  /// What results call it.
  public var name: String
  /// Its edits; none: the frozen model.
  public var adapters: AdapterStack

  /// The model as it is.
  public static let frozen = Contender(name: "frozen", adapter: nil)

  /// Names an adapter.
  public init(name: String, adapter: Adapter?) {
    self.init(name: name, adapters: AdapterStack(adapter))
  }

  /// Names adapters that edit together.
  public init(name: String, adapters: AdapterStack) {
    (self.name, self.adapters) = (name, adapters)
  }
}

/// A row that is still to be asked of a contender.
struct PendingRow {
  var row: TaskRow
  /// The contender's place.
  var contender: Int
}
