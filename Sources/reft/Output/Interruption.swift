// SPDX-License-Identifier: Apache-2.0
// Ctrl-C during a long job: the first asks it to save and stop, the second ends the process.

import Foundation

/// Turns SIGINT and SIGTERM into a call; each works once, then has its usual effect again.
final class Interruption {
  private var sources: [any DispatchSourceSignal] = []

  /// Watches until the object is gone.
  init(_ body: @escaping @Sendable () -> Void) {
    for number in [SIGINT, SIGTERM] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler {
        signal(number, SIG_DFL)
        body()
      }
      source.resume()
      sources.append(source)
    }
  }

  deinit {
    for source in sources { source.cancel() }
    signal(SIGINT, SIG_DFL)
    signal(SIGTERM, SIG_DFL)
  }
}
