// SPDX-License-Identifier: Apache-2.0
// Ctrl-C during a long job: the first asks it to save and stop, the second ends the process.

import Foundation
import ReFTHost

/// Turns SIGINT and SIGTERM into a call; each works once, then has its usual effect again.
final class Interruption {
  private var sources: [any DispatchSourceSignal] = []

  /// Watches until the object is gone.
  init(_ body: @escaping @Sendable () -> Void) {
    let registered = DispatchGroup()
    for number in [SIGINT, SIGTERM] {
      ForeignCalls.setSignal(number, isIgnored: true)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler {
        ForeignCalls.setSignal(number, isIgnored: false)
        body()
      }
      registered.enter()
      source.setRegistrationHandler { registered.leave() }
      source.resume()
      sources.append(source)
    }
    // Registration changes the signals' actions on another thread; a plugin that is being loaded
    // meanwhile would be blamed for it.
    registered.wait()
  }

  deinit {
    for source in sources { source.cancel() }
    for number in [SIGINT, SIGTERM] { ForeignCalls.setSignal(number, isIgnored: false) }
  }
}
