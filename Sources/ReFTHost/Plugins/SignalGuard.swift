// SPDX-License-Identifier: Apache-2.0
// What signals do is the program's: compared and put back around foreign code. A look at all of them costs
// some 30 µs, a call over one row a few; so calls are looked at now and then, those of a plugin that was
// found out always.

import CReFTPlatform
import Synchronization

/// Watches what the code of one plugin does to signals.
final class SignalGuard: Sendable {
  private let wasFound = Atomic(false)
  /// One call at a time is looked at: what two change at once is nobody's for certain.
  private static let isLooking = Atomic(false)

  /// Which calls of an instance are looked at: the first, and one in so many.
  private static let sampling = 256

  /// Whether the call of an instance with a number, from 1, is looked at.
  static func looks(atCall number: Int) -> Bool { number == 1 || number % sampling == 0 }

  /// Notes what signals do; nil where this call is not looked at.
  func begin(_ looks: Bool) -> OpaquePointer? {
    guard looks || wasFound.load(ordering: .relaxed),
      !Self.isLooking.exchange(true, ordering: .acquiring)
    else { return nil }
    if let table = reft_system_signals_save() { return table }
    Self.isLooking.store(false, ordering: .releasing)
    return nil
  }

  /// Puts signals back, and says which those are, in words; nil where none was changed.
  func end(_ table: OpaquePointer) -> String? {
    let changed = Self.putBack(table)
    Self.isLooking.store(false, ordering: .releasing)
    guard !changed.isEmpty else { return nil }
    wasFound.store(true, ordering: .relaxed)
    return "changed what \(Self.words(changed)) do"
  }

  /// The numbers of the signals that differ from what was noted, which are put back.
  static func putBack(_ table: OpaquePointer?) -> [Int] {
    let changed = reft_system_signals_restore(table)
    return changed == 0 ? [] : (1...64).filter { changed >> ($0 - 1) & 1 == 1 }
  }

  /// Signals in words.
  static func words(_ numbers: [Int]) -> String {
    "signals \(numbers.map(String.init).joined(separator: ", "))"
  }
}
