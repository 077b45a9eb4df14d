// SPDX-License-Identifier: Apache-2.0
// Ctrl-C during a long job: the first asks it to save and stop, the second ends the process.

import Foundation
import Synchronization

private let wasRequested = Atomic<Bool>(false)

/// The user's wish to stop.
enum Interruption {
  /// Whether Ctrl-C was pressed, or the process was asked to terminate, since `watch`.
  static var isRequested: Bool { wasRequested.load(ordering: .relaxed) }

  /// Turns SIGINT and SIGTERM into a wish; each works once, then has its usual effect again.
  static func watch() {
    var action = sigaction()
    // Only an atomic store happens in the handler.
    action.__sigaction_handler.sa_handler = { _ in wasRequested.store(true, ordering: .relaxed) }
    action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND)) | SA_RESTART
    sigemptyset(&action.sa_mask)
    sigaction(SIGINT, &action, nil)
    sigaction(SIGTERM, &action, nil)
  }

  /// Forgets an earlier wish, for the next job of the same process.
  static func reset() { wasRequested.store(false, ordering: .relaxed) }
}
