// SPDX-License-Identifier: Apache-2.0
// What a plugin says about one call while it runs.

import CReFTPlugin
import Synchronization

/// The object behind `reft_call_t`: takes the error text of a call and the wish to end it.
final class CallRecord: Sendable {
  private let text = Mutex<String?>(nil)
  private let wantsCancel: @Sendable () -> Bool

  init(wantsCancel: @escaping @Sendable () -> Bool = { ForeignCalls.isCancelled }) {
    self.wantsCancel = wantsCancel
  }

  /// The first text that was set: later ones are often its consequences.
  var message: String? { text.withLock { $0 } }

  var isCancelled: Bool { wantsCancel() }

  func set(_ message: String) {
    text.withLock { if $0 == nil { $0 = message } }
  }

  /// The handle that a plugin gets; valid while the record lives.
  var handle: OpaquePointer { OpaquePointer(Unmanaged.passUnretained(self).toOpaque()) }

  static func of(_ handle: OpaquePointer?) -> CallRecord? {
    guard let handle else { return nil }
    return Unmanaged<CallRecord>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
  }
}
