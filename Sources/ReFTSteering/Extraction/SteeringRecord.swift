// SPDX-License-Identifier: Apache-2.0
// What an adapter says of the extraction that made it.

public import ReFTHost
import ReFTTensor

/// The part of an adapter's record that a sweep needs.
public struct SteeringRecord: Sendable {
  private var members: [String: JSONValue] = [:]

  /// Reads the record; an adapter that was made in another way has an empty one.
  public init(_ adapter: Adapter) {
    if case .object(let members)? = adapter.trainingInfo["steering"] { self.members = members }
  }

  /// The digest of a file that the vector was found from; nil where it was not.
  public func digest(of file: String) -> String? {
    guard case .object(let files)? = members["data"], case .string(let digest)? = files[file]
    else { return nil }
    return digest
  }

  /// The part of the texts that was held out.
  public var heldOut: Double {
    switch members["held_out"] {
    case .double(let part)?: part
    case .int(let part)?: Double(part)
    default: 0
    }
  }

  /// What decided which texts these are.
  public var seed: UInt64 {
    if case .int(let seed)? = members["seed"] { UInt64(bitPattern: seed) } else { 0 }
  }

  /// How many pairs were taken at most; nil for all.
  public var limit: Int? {
    if case .int(let limit)? = members["limit"] { Int(limit) } else { nil }
  }
}
